"""How far the defaults are from the best setting found, on sets of 1,000 training images.

    python -m benchmarks.results.defaults [--data DIR] [--cache DIR] [--only A,B] -- FLAGS OF TRAIN

Each set is trained on once with no flag of `train` at all and, where flags are given after `--`,
once with these: the best setting found, by whatever search. There is no validation split, so the
last epoch counts and nothing is chosen on the held-out images. Otherwise as `benchmarks.results`.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

from benchmarks.competitors import SAMPLE
from benchmarks.converters.strips import BOX, SIZE
from benchmarks.process import CommandError
from benchmarks.results import real, table
from benchmarks.results.command_line import make_parser, parse
from benchmarks.results.source import Options, Source, Task, name_hash, write_manifest
from benchmarks.results.trial import Trial, convert, runs_folder, train

IMAGES = 1000
CAPTCHA_DS_SIZE = (120, 40)  # half of the images' size: digits this large lose nothing
SEED = 0
COLUMNS = (
    "set", "images to train / validate / test", "exact by default", "exact with flags",
    "points lost", "characters by default", "with flags", "minutes by default", "with flags",
    "times as long",
)  # fmt: skip


def make_captcha_ds(options: Options, name: str, *flags: str) -> Source:
    """Holds out as many images as are trained on."""
    count = options.limit or IMAGES
    folder = options.folder(real.CAPTCHA_DS).resolve()
    rows = real.named_rows(folder, count, count, options.validation)
    return Source(
        manifest=write_manifest(real.manifest_file(options, name), rows),
        flags=("--text-column", "text", "--root", str(folder), *flags),
        size=options.size or CAPTCHA_DS_SIZE,
    )


def make_strips(options: Options) -> Source:
    """Takes 1,000 strips of the project's sample to train on, and holds out the other 500."""
    with open(SAMPLE / "manifest.csv", encoding="utf-8", newline="") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: name_hash(row["path"]))
    rows = rows[: 3 * (options.limit or IMAGES) // 2]
    manifest = real.manifest_file(options, "strips")
    manifest.parent.mkdir(parents=True, exist_ok=True)
    with open(manifest, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [*rows[0], "split"])
        writer.writeheader()
        for index, row in enumerate(rows):
            writer.writerow({**row, "split": "test" if index % 3 == 0 else "train"})
    flags = ("--root", str(SAMPLE), "--crop", *map(str, BOX))
    return Source(manifest=manifest, flags=flags, size=options.size or SIZE)


TASKS = (
    Task(
        name="captcha_v2",
        about="captcha_images_v2: the 936 captchas that the 104 held-out ones leave; 200x50 pixels",
        target="",
        make=real.make_captcha_v2,
    ),
    Task(
        name="captcha_ds",
        about="captcha_ds: 1,000 captchas of 4 digits, 120x40 pixels, transparency dropped: dim",
        target="",
        make=lambda options: make_captcha_ds(options, "captcha_ds"),
    ),
    Task(
        name="captcha_ds_white",
        about="captcha_ds: the same 1,000, painted on white as a browser shows them",
        target="",
        make=lambda options: make_captcha_ds(options, "captcha_ds_white", "--alpha", "white"),
    ),
    Task(
        name="strips",
        about="data/sample: 1,000 strips of 4 characters of 100, 128x32 pixels",
        target="",
        make=make_strips,
    ),
)


def measure(task: Task, options: Options) -> str:
    """Trains on a set without flags, and with them if there are any; returns a table's row."""
    print(f"set: {task.name}: {task.about}", flush=True)
    source = task.make(options)
    print(f"convert: {' '.join(source.arguments()[1:])}", flush=True)
    dataset = convert(source, options.cache)
    settings = [(), options.flags] if options.flags else [()]
    with runs_folder(options.cache) as runs:
        trials = [train(dataset, flags, SEED, source.split, runs) for flags in settings]
    print(f"  exact {' and '.join(f'{trial.exact:.2%}' for trial in trials)}", flush=True)
    return table.row([task.name, dataset.counts(), *cells(trials[0], [*trials, None][1])])


def cells(default: Trial, best: Trial | None) -> list[str]:
    """Returns the cells about two trials; `-` where there is no second one."""
    return [
        f"{default.exact:.2%}",
        f"{best.exact:.2%}" if best else "-",
        f"{100 * (best.exact - default.exact):.1f}" if best else "-",
        f"{default.characters:.2%}",
        f"{best.characters:.2%}" if best else "-",
        f"{default.seconds / 60:.1f}",
        f"{best.seconds / 60:.1f}" if best else "-",
        f"{default.seconds / best.seconds:.2f}" if best else "-",
    ]


def main() -> None:
    parser = make_parser("benchmarks.results.defaults", __doc__)
    add = parser.add_argument
    add("--data", type=Path, help="folder of the real sets")
    add("--limit", type=int, help="train on so many images only: to try things out")
    names = ",".join(task.name for task in TASKS)
    add("--only", default=names, help="sets, with commas between (%(default)s)")
    arguments, flags = parse(parser)
    options = Options(
        cache=arguments.cache, data=arguments.data, limit=arguments.limit, flags=flags
    )
    wanted = arguments.only.split(",")
    print(f"{table.opening()}\n{table.METHOD}\nflags of train: none, then {' '.join(flags) or '-'}")
    try:
        lines = [measure(task, options) for task in TASKS if task.name in wanted]
    except CommandError as error:
        sys.exit(f"results: error: {error}")
    print("\n".join([table.header(COLUMNS), *lines]))


if __name__ == "__main__":
    main()
