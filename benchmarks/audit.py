"""How many wrong labels `train audit` finds, in real sets some of whose labels are made wrong.

Of the rows to train and validate on a share gets one wrong character, of the set's own, chosen by a
seed; held-out rows stay as they are. A run with all defaults is trained on the set as it is and on
the changed one, and audited without and with folds. Counted are the changed labels among the first
of the table, as many as there are changed ones, times 1, 1.2 and 2. What the sets' makers labelled
wrong themselves counts as found in error.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import random
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.results import real
from benchmarks.results.source import Options, Source, write_manifest
from benchmarks.results.trial import command, convert, digest, train

SETS = ("captcha_v2", "cheques")
FACTORS = (1.0, 1.2, 2.0)

Row = tuple[str, str, str]  # path, text, split


def with_wrong_labels(rows: Sequence[Row], share: float, seed: int) -> list[Row]:
    """Returns rows of which a share, held-out rows left out, has one other character."""
    alphabet = sorted({character for _, text, _ in rows for character in text})
    places = [place for place, (_, _, split) in enumerate(rows) if split != "test"]
    generator, changed = random.Random(seed), list(rows)
    for place in sorted(generator.sample(places, round(share * len(places)))):
        path, text, split = rows[place]
        at = generator.randrange(len(text))
        other = generator.choice([one for one in alphabet if one != text[at]])
        changed[place] = path, text[:at] + other + text[at + 1 :], split
    return changed


def read_rows(manifest: Path) -> list[Row]:
    with open(manifest, encoding="utf-8", newline="") as file:
        return [(row["path"], row["text"], row["split"]) for row in csv.DictReader(file)]


def make_wrong(source: Source, share: float, seed: int) -> tuple[Source, set[int]]:
    """Returns a set with wrong labels, and the rows that have them."""
    rows = read_rows(source.manifest)
    changed = with_wrong_labels(rows, share, seed)
    name = f"{source.manifest.stem}-wrong-{share:g}-{seed}.csv"
    manifest = write_manifest(source.manifest.with_name(name), changed)
    pairs = enumerate(zip(rows, changed, strict=True))
    return replace(source, manifest=manifest), {row for row, (one, two) in pairs if one != two}


def report(table: Path, wrong: set[int]) -> None:
    """Prints how many wrong labels stand first in a table."""
    with open(table, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    found = [int(row["row"]) in wrong for row in rows]
    for factor in FACTORS:
        first = math.ceil(factor * len(wrong))
        hits = sum(found[:first])
        print(
            f"  among the first {first} ({factor:g} x {len(wrong)}): {hits}; "
            f"recall {hits / len(wrong):.1%}, precision {hits / first:.1%}"
        )
    suspected = [
        is_wrong for row, is_wrong in zip(rows, found, strict=True) if row["suspected"] == "1"
    ]
    print(f"  suspected: {len(suspected)}, of which changed: {sum(suspected)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with the real sets")
    parser.add_argument("--cache", type=Path, default=Path("audit-benchmark"))
    parser.add_argument("--share", type=float, default=0.03, help="of labels to make wrong")
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", choices=SETS, action="append", help="default: all")
    asked = parser.parse_args()
    print(__doc__)
    options = Options(cache=asked.cache, data=asked.data, validation=0.1)
    for task in (task for task in real.TASKS if task.name in (asked.set or SETS)):
        source = task.make(options)
        other, wrong = make_wrong(source, asked.share, asked.seed)
        print(f"{task.name}: {len(wrong)} of {len(read_rows(source.manifest)):,} labels changed")
        runs = asked.cache / "runs"
        for what, one in (("labels as they are", source), ("labels changed", other)):
            dataset = convert(one, asked.cache)
            trial = train(dataset, task.flags, asked.seed, source.split, runs)
            print(f"  {what}: {trial.exact:.1%} of the held-out labels exact")
        name = f"{dataset.path.name}-{digest(task.flags, dataset.dataset_id.encode())}"
        run = runs / f"{name}-{asked.seed}"
        for folds in (0, asked.folds):
            words = ["audit", str(run), "--folds", str(folds), "--json"]
            summary = json.loads(command("train", words, runs).last_line)
            print(f"  {folds} folds:")
            report(Path(summary["table"]), wrong)
            shutil.copy(summary["table"], runs / f"{run.name}-{folds}-folds.csv")


if __name__ == "__main__":
    main()
