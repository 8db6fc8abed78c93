"""What a step of `train` costs, against a bare `fit` of the same network on arrays in memory.

    python benchmarks/step_cost.py [--rows 3000] [--rounds 5] [--dir DIR] [-- FLAGS OF TRAIN]

Three processes train on the same strips, copies of data/sample's: a bare `fit`, ours without
augmentation, which is what is compared, and ours with it. Each builds its graph in an epoch that
is not measured. Then in every round each trains one epoch while the others wait, in an order that
moves on from round to round; ratios are taken within rounds. The target is printed, never judged.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from types import TracebackType

# First, since this folder has a convert.py too.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.competitors import SAMPLE
from benchmarks.converters.strips import BOX, SIZE
from benchmarks.process import run
from benchmarks.results.table import opening

ROOT = Path(__file__).resolve().parent.parent
BARE, OURS, AUGMENTED = "bare", "ours", "augmented"
ABOUT = {
    BARE: "bare fit",
    OURS: "ours, --no-augment",
    AUGMENTED: "ours, augmented",
}
VALIDATION_PART = 10  # a tenth of the rows is validated on after each of our epochs
END_SECONDS = 20  # a process that has not ended by then is killed
TARGET = "a step of ours, callbacks, metrics and reader included, at most 1.05 times a bare one"
METHOD = """\
method: three processes take turns, an epoch each, in another order each round; medians of rounds,
  of ratios too, which are taken within rounds; the first epoch of each is not measured
  bare: keras.Model of the same layers and first weights; one SparseCategoricalCrossentropy an
    output; Keras' own AdamW with our options; `fit` on NumPy arrays in memory, uint8 images and
    int32 labels, its own shuffling; no metrics, no callbacks but the clock, no validation
  ours: train.training.start.train_model with all its callbacks: smoothed losses, metrics,
    progress, curves, checkpoints, the reader with its CRCs, and whatever the flags below and
    the defaults switch on
  steps alone: from the end of an epoch's first step to the end of its last, by step; what happens
    every few steps is in it, what happens between epochs is not
  whole epochs: from start to end; of ours with validation, models, checkpoint and history
  CPU: time of all threads of the process"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """What an epoch took, in seconds.

    Attributes:
        step: Wall time of a step.
        step_cpu: CPU time of a step.
        epoch: Wall time of the whole epoch.
        epoch_cpu: CPU time of the whole epoch.
    """

    step: float
    step_cpu: float
    epoch: float
    epoch_cpu: float


MEASURES: dict[str, Callable[[Cost], float]] = {
    "step, wall": lambda cost: cost.step,
    "step, CPU": lambda cost: cost.step_cpu,
    "epoch, wall": lambda cost: cost.epoch,
    "epoch, CPU": lambda cost: cost.epoch_cpu,
}


class StepperError(Exception):
    """A process ended; the message is the last line on its stderr."""


class Stepper:
    """A process that trains an epoch when it is asked to."""

    def __init__(self, kind: str, dataset: Path, folder: Path, flags: Sequence[str]) -> None:
        self._log = folder / f"{kind}.txt"
        arguments = [kind, str(dataset), str(folder / kind), *flags]
        with open(self._log, "wb") as stderr:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.stepper", *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                cwd=ROOT,
                text=True,
            )

    def __enter__(self) -> Stepper:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def epoch(self) -> Cost:
        """Trains an epoch.

        Raises:
            StepperError: The process ended.
        """
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            text = self._log.read_text(encoding="utf-8", errors="replace").strip()
            raise StepperError(text.split("\n")[-1] or "no message")
        answer = json.loads(line)
        steps = answer["steps"]
        wall, cpu = zip(answer["begun"], *steps, answer["ended"], strict=True)
        num_steps = len(steps) - 1  # the first is left out
        return Cost(
            step=(wall[-2] - wall[1]) / num_steps,
            step_cpu=(cpu[-2] - cpu[1]) / num_steps,
            epoch=wall[-1] - wall[0],
            epoch_cpu=cpu[-1] - cpu[0],
        )


def make_dataset(folder: Path, num_rows: int) -> Path:
    """Converts the sample's strips, again and again until there are enough."""
    with open(SAMPLE / "manifest.csv", encoding="utf-8", newline="") as file:
        sample = list(csv.DictReader(file))
    manifest, dataset = folder / "manifest.csv", folder / "strips"
    with open(manifest, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [*sample[0], "split"])
        writer.writeheader()
        for index in range(num_rows + num_rows // VALIDATION_PART):
            split = "train" if index < num_rows else "validation"
            writer.writerow({**sample[index % len(sample)], "split": split})
    flags = ["--crop", *map(str, BOX), "--size", *map(str, SIZE), "--root", str(SAMPLE)]
    command = [sys.executable, "-m", "convert", str(manifest), str(dataset), *flags]
    run(command, ROOT, dict(os.environ), folder)
    return dataset


def measure(steppers: dict[str, Stepper], rounds: int, num_images: int) -> dict[str, list[Cost]]:
    """Lets each train an epoch in every round."""
    for name, stepper in steppers.items():
        print(f"warm-up: {name}: {stepper.epoch().epoch:.1f} s", flush=True)
    costs: dict[str, list[Cost]] = {name: [] for name in steppers}
    for number in range(rounds):
        first = number % len(steppers)
        for name in [*steppers][first:] + [*steppers][:first]:
            cost = steppers[name].epoch()
            costs[name].append(cost)
            rate = num_images / cost.epoch
            print(f"round {number + 1}: {name}: {1e3 * cost.step:.1f} ms a step, ", end="")
            print(f"{cost.epoch:.1f} s, {rate:,.0f} images/s", flush=True)
    return costs


def show(costs: dict[str, list[Cost]]) -> None:
    """Prints the table."""
    print(f"| medians of {len(costs[BARE])} rounds | {' | '.join(MEASURES)} |")
    print("| --- " * (len(MEASURES) + 1) + "|")
    for name, rounds in costs.items():
        values = [median(measure(cost) for cost in rounds) for measure in MEASURES.values()]
        cells = [f"{1e3 * value:.2f} ms" for value in values[:2]]
        cells += [f"{value:.2f} s" for value in values[2:]]
        print(f"| {ABOUT[name]} | {' | '.join(cells)} |")
    for name in (OURS, AUGMENTED):
        cells = [ratio(costs[name], costs[BARE], measure) for measure in MEASURES.values()]
        print(f"| {ABOUT[name]}, times bare | {' | '.join(cells)} |")


def ratio(ours: list[Cost], bare: list[Cost], measure: Callable[[Cost], float]) -> str:
    """Returns the median of the rounds' ratios, the least and the greatest."""
    values = [measure(one) / measure(two) for one, two in zip(ours, bare, strict=True)]
    return f"{median(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def main() -> None:
    words = sys.argv[1:]
    end = words.index("--") if "--" in words else len(words)
    flags = words[end + 1 :]
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    add = parser.add_argument
    add("--rows", type=int, default=3000, help="images of an epoch (%(default)s)")
    add("--rounds", type=int, default=5)
    add("--dir", type=Path, help="where the folder for dataset and runs is made; removed again")
    arguments = parser.parse_args(words[:end])
    print(f"{opening()}\n{METHOD}\ntarget: {TARGET}\nflags of train: {' '.join(flags) or 'none'}")
    with tempfile.TemporaryDirectory(dir=arguments.dir) as name, ExitStack() as stack:
        folder = Path(name)
        dataset = make_dataset(folder, arguments.rows)
        steppers = {
            kind: stack.enter_context(Stepper(kind, dataset, folder, flags)) for kind in ABOUT
        }
        try:
            show(measure(steppers, arguments.rounds, arguments.rows))
        except StepperError as error:
            sys.exit(f"step_cost: error: {error}")


if __name__ == "__main__":
    main()
