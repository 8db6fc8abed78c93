"""What a shared head costs and reads, against a separate one for each character.

    python -m benchmarks.results.heads cost [--classes 20902] [--steps 300] [--rounds 3] [-- FLAGS]
    python -m benchmarks.results.heads accuracy [--classes 500] [--strips 20000] [-- FLAGS OF TRAIN]

Strips of 4 ideographs, drawn by data/render.py with fonts of Debian packages. `cost` trains some
steps with each head in turn, in a fresh process each time; `accuracy` trains on the same strips
with both, for the same number of epochs. Otherwise as `benchmarks.results`.
"""

from __future__ import annotations

import argparse
import csv
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"  # before TensorFlow is loaded

from benchmarks.converters.strips import BOX, SIZE
from benchmarks.process import CommandError, Run
from benchmarks.results import table
from benchmarks.results.command_line import make_parser, parse
from benchmarks.results.ideographs import MANIFEST, VOCABULARY, make_strips
from benchmarks.results.source import Source
from benchmarks.results.trial import Dataset, command, convert, runs_folder, train

HEADS = ("shared", "separate")
FULL_CLASSES, SUBSET_CLASSES = 20_902, 500
BATCH_SIZE = 32  # the default, since the number of strips follows from that of the steps
COST_EPOCHS = 2  # the graph is built in the first one
COST_VALIDATION = 256  # strips: memory for validation is in the peak
ACCURACY_TEST = 2000  # strips held out
MEMORY_LIMIT = 4e9
COST_METHOD = f"""\
method: a fresh process of `train` for each run, heads in turn; {COST_EPOCHS} epochs, of which the
  last is measured; medians of rounds
  parameters: of the network that is saved, with the moving averages of normalisation
  memory: most that the process held, validation, models and checkpoints included; the limit is
  {MEMORY_LIMIT / 1e9:.0f} GB
  time per step: wall time of the last epoch's steps, callbacks included, by their number"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """What a run of some steps took.

    Attributes:
        parameters: Of the network.
        memory: Most bytes that the process held.
        step: Seconds.
    """

    parameters: int
    memory: int
    step: float


def dataset_of(cache: Path, num_classes: int, splits: dict[str, int]) -> Dataset:
    """Draws and converts strips."""
    folder = make_strips(cache, num_classes, splits)
    vocabulary = ("--vocabulary", str(folder / VOCABULARY))
    flags = ("--text-column", "text", *vocabulary, "--crop", *map(str, BOX))
    return convert(Source(manifest=folder / MANIFEST, flags=flags, size=SIZE), cache)


def one_cost(dataset: Dataset, head: str, flags: Sequence[str], folder: Path) -> Cost:
    """Trains some steps in a new run folder, which is removed again."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    run = folder / head
    given = ["--head", head, "--epochs", str(COST_EPOCHS), "--batch-size", str(BATCH_SIZE)]
    done: Run = command("train", [str(dataset.path), *given, *flags, "--run", str(run)], folder)
    with open(run / "history.csv", encoding="utf-8", newline="") as file:
        *_, before, last = csv.DictReader(file)
    steps = int(last["step"]) - int(before["step"])
    cost = Cost(
        parameters=count_parameters(run / "last.keras"),
        memory=done.largest,
        step=float(last["seconds"]) / steps,
    )
    shutil.rmtree(folder)
    return cost


def count_parameters(model: Path) -> int:
    """Returns the parameters of a saved model."""
    import keras

    number: int = keras.models.load_model(model, compile=False).count_params()
    return number


def compare_costs(arguments: argparse.Namespace, flags: Sequence[str], cache: Path) -> list[str]:
    """Returns the table of what both heads cost."""
    print(COST_METHOD, flush=True)
    splits = {"train": arguments.steps * BATCH_SIZE, "validation": COST_VALIDATION}
    dataset = dataset_of(cache, arguments.classes or FULL_CLASSES, splits)
    costs: dict[str, list[Cost]] = {head: [] for head in HEADS}
    for number in range(arguments.rounds):
        for head in HEADS if number % 2 == 0 else HEADS[::-1]:
            cost = one_cost(dataset, head, flags, cache / "runs" / "heads")
            costs[head].append(cost)
            print(f"round {number + 1}: {head}: {1e3 * cost.step:.0f} ms a step, ", end="")
            print(f"{cost.memory / 1e9:.2f} GB", flush=True)
    lines = [table.header(["head", "classes", "parameters", "memory", "time per step"])]
    for head, rounds in costs.items():
        memory = max(cost.memory for cost in rounds)
        step = median(cost.step for cost in rounds)
        number_of = f"{rounds[0].parameters / 1e6:.2f} M"
        classes = f"4 x {arguments.classes or FULL_CLASSES:,}"
        cells = [head, classes, number_of, f"{memory / 1e9:.2f} GB", f"{1e3 * step:.0f} ms"]
        lines.append(table.row(cells))
    ratios = [two.step / one.step for one, two in zip(*costs.values(), strict=True)]
    return [*lines, f"separate takes {median(ratios):.2f} times as long a step as shared"]


def compare_accuracy(arguments: argparse.Namespace, flags: Sequence[str], cache: Path) -> list[str]:
    """Returns the table of what both heads read."""
    print(table.METHOD, flush=True)
    num_test = min(ACCURACY_TEST, arguments.strips // 10)
    splits = {"train": arguments.strips - num_test, "test": num_test}
    dataset = dataset_of(cache, arguments.classes or SUBSET_CLASSES, splits)
    lines = [table.header()]
    with runs_folder(cache) as runs:
        for head in HEADS:
            trial = train(dataset, (*flags, "--head", head), 0, "test", runs)
            print(f"  {head}: exact {trial.exact:.2%}", flush=True)
            lines.append(table.result(f"ideographs, {head} head", dataset, [trial]))
    return lines


def main() -> None:
    parser = make_parser("benchmarks.results.heads", __doc__)
    add = parser.add_argument
    add("what", choices=("cost", "accuracy"))
    add("--classes", type=int, help=f"characters (default: {FULL_CLASSES}, {SUBSET_CLASSES})")
    add("--steps", type=int, default=300, help="of an epoch of `cost` (%(default)s)")
    add("--rounds", type=int, default=3, help="of `cost` (%(default)s)")
    add("--strips", type=int, default=20_000, help="of `accuracy` (%(default)s)")
    arguments, flags = parse(parser)
    print(f"{table.opening()}\nflags of train: {' '.join(flags) or 'none'}", flush=True)
    compare = compare_costs if arguments.what == "cost" else compare_accuracy
    try:
        print("\n".join(compare(arguments, flags, arguments.cache)))
    except CommandError as error:
        sys.exit(f"results: error: {error}")


if __name__ == "__main__":
    main()
