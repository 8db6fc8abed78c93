"""What `train` makes of a GPU: steps, waits for input, repeatability, and time to read the sample.

    python benchmarks/gpu.py [--json gpu.json] [--minutes 5] [--batches 32 256 1024] [--seconds 6]
        [--rows 42000] [--classes 21000] [--model resnet10] [--width 1] [--epochs 20] [--dir DIR]

Needs JAX with a GPU, Keras and shardfeed's wheels; no network, and no TensorFlow. It prints a line
for each result, then tables, and writes all of it as JSON. Without a GPU it runs too, with smaller
limits, and says nothing of one.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

# First, since this folder has a convert.py too.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.competitors import SAMPLE
from benchmarks.converters.strips import BOX, OUTPUTS, SIZE

ROOT = Path(__file__).resolve().parent.parent
SPEED_SHARE = 0.6  # of the time; what is left is for the parts after it
TARGET = "input wait at most 0.5 % at full step rate"
METHOD = """\
method: `train` as users run it, on JAX, with all callbacks, in processes of their own
  speed: 4 outputs of --classes classes, strips of 128x32, from the fifth step of an epoch to its
    last, for --seconds; what happens between epochs is not in it
  input wait: share of that time in which the next batch was not there
  GPU: median of what nvidia-smi says each half second, from the start of the run on
  repeat: two epochs of the sample with --deterministic, three times, one of them stopped in the
    second epoch and resumed; whether all weights are equal to the last bit
  sample: from the start to the end of a run with --target exact=1, compiling included
  what the time does not allow is left out and named"""


def make_dataset(path: Path, num_rows: int | None, num_classes: int) -> None:
    """Converts the sample's strips.

    Args:
        path: Where to.
        num_rows: Rows to train on, each strip again and again. None: the sample as it is, a
            tenth of it to validate on.
        num_classes: Classes that such rows' labels are drawn from.
    """
    with open(SAMPLE / "manifest.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    flags = ["--split", "train=0.9,validation=0.1"]
    if num_rows is not None:
        rows = [
            {
                "path": rows[row % len(rows)]["path"],
                **{name: f"c{(row + 7 * i) % num_classes:05}" for i, name in enumerate(OUTPUTS)},
            }
            for row in range(num_rows)
        ]
        flags = ["--split", "train=1"]
    manifest = path.with_suffix(".csv")
    with open(manifest, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    size = ["--crop", *map(str, BOX), "--size", *map(str, SIZE), "--root", str(SAMPLE)]
    command = [sys.executable, "-m", "convert", str(manifest), str(path), *size, *flags]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def run_part(
    name: str, dataset: Path, folder: Path, options: dict[str, Any], seconds: float
) -> tuple[list[dict[str, Any]], str | None]:
    """Runs a part in a process of its own.

    Returns:
        Its results, and why there are no more of them; None: these are all.
    """
    if seconds <= 0:
        return [], "no time was left"
    log = folder / f"{name}.txt"
    arguments = [name, str(dataset), str(folder), json.dumps(options)]
    results = []
    with (
        open(log, "wb") as stderr,
        subprocess.Popen(
            [sys.executable, "-m", "benchmarks.gpu_parts", *arguments],
            stdout=subprocess.PIPE,
            stderr=stderr,
            cwd=ROOT,
            text=True,
        ) as process,
    ):
        timer = threading.Timer(seconds, process.kill)
        timer.start()
        assert process.stdout
        for line in process.stdout:
            results.append(json.loads(line))
            print(f"{name}: {line}", end="", flush=True)
        status = process.wait()
        is_over = not timer.is_alive()
        timer.cancel()
    if not status:
        return results, None
    text = log.read_text(encoding="utf-8", errors="replace").strip()
    return results, "the time was over" if is_over else text.split("\n")[-1] or f"exit {status}"


def table(results: list[dict[str, Any]]) -> str:
    """Returns the speeds as Markdown."""
    columns = ("batch", "precision", "augmented on", "step", "images/s", "input wait", "GPU")
    lines = [f"| {' | '.join(columns)} |", "| --- " * len(columns) + "|"]
    for one in results:
        busy = one["gpu_utilisation"]
        cells = (
            f"{one['batch']:,}",
            one["precision"],
            one["augment_on"],
            f"{one['step_ms']:.2f} ms",
            f"{one['images_per_second']:,.0f}",
            f"{one['input_wait']:.2%}",
            "" if busy is None else f"{busy:.0%}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    add = parser.add_argument
    add("--json", type=Path, default=Path("gpu.json"), help="file to write (%(default)s)")
    add("--minutes", type=float, default=5.0, help="time for all of it (%(default)s)")
    add("--batches", type=int, nargs="+", default=[32, 256, 1024], help="batch sizes")
    add("--seconds", type=float, default=6.0, help="time of each measurement (%(default)s)")
    add("--rows", type=int, default=42_000, help="images to measure the speed on (%(default)s)")
    add("--classes", type=int, default=21_000, help="classes of an output (%(default)s)")
    add("--model", default="resnet10", help="network (%(default)s)")
    add("--width", type=float, default=1.0, help="of the network (%(default)s)")
    add("--epochs", type=int, default=20, help="of the sample at most (%(default)s)")
    add("--dir", type=Path, help="where the folder for datasets and runs is made; removed again")
    arguments = parser.parse_args()
    ends = time.monotonic() + 60 * arguments.minutes
    options = {
        name: getattr(arguments, name)
        for name in ("batches", "seconds", "rows", "classes", "model", "width", "epochs")
    }
    print(f"{METHOD}\ntarget: {TARGET}\noptions: {json.dumps(options)}")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # XLA reads it too
    found: dict[str, Any] = {"method": METHOD, "options": options, "left_out": {}}
    with tempfile.TemporaryDirectory(dir=arguments.dir) as name:
        folder = Path(name)
        make_dataset(folder / "many", arguments.rows, arguments.classes)
        make_dataset(folder / "strips", None, 0)
        for part in ("machine", "speed", "repeat", "sample"):
            dataset = folder / ("many" if part == "speed" else "strips")
            seconds = ends - time.monotonic()
            if part == "speed":
                seconds *= SPEED_SHARE
            found[part], missing = run_part(part, dataset, folder, options, seconds)
            if missing:
                found["left_out"][part] = missing
    arguments.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(table(found["speed"]))
    for part, missing in found["left_out"].items():
        print(f"{part}: not all of it: {missing}")
    print(f"{arguments.json}: all results")


if __name__ == "__main__":
    main()
