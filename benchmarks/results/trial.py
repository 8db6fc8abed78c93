"""Runs `convert`, `train` and `train evaluate` as a user would, and keeps what came of it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.process import Run, run
from benchmarks.results.source import PART, Source
from convert.dataset.read import read_dataset

ROOT = Path(__file__).resolve().parent.parent.parent
ENVIRONMENT = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
PRODUCT = ("convert", "train")
OWN_FLAGS = ("--run", "--seed", "--json")


@dataclass(frozen=True, kw_only=True, slots=True)
class Dataset:
    """A converted set.

    Attributes:
        path: Its folder.
        dataset_id: Its id.
        records: Records of each split.
    """

    path: Path
    dataset_id: str
    records: dict[str, int]

    def counts(self) -> str:
        """Returns the records to train on, to validate on and to test on."""
        splits = ("train", "validation", "test")
        return " / ".join(f"{self.records.get(split, 0):,}" for split in splits)


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """What a run of `train` came to on the images that are held out.

    Attributes:
        exact: Share of images that are read without an error. In [0, 1].
        characters: Share of characters that are right. In [0, 1].
        epochs: Epochs.
        seconds: Time of the training, validation included.
        images_per_second: Of the steps alone: median over the epochs.
        memory: Most bytes that the process held.
        load: Load average when it began.
    """

    exact: float
    characters: float
    epochs: int
    seconds: float
    images_per_second: float
    memory: int
    load: float


def convert(source: Source, cache: Path) -> Dataset:
    """Converts a set, unless that is done.

    Raises:
        CommandError: It failed.
    """
    arguments = source.arguments()
    content = source.manifest.read_bytes()
    path = cache / "datasets" / f"{source.manifest.stem}-{digest(arguments, content)}"
    path.parent.mkdir(parents=True, exist_ok=True)
    command("convert", [arguments[0], str(path), *arguments[1:], "--json"], path.parent)
    info = read_dataset(str(path))
    records = {split: sum(one.records for one in shards) for split, shards in info.splits.items()}
    return Dataset(path=path, dataset_id=info.dataset_id, records=records)


def train(dataset: Dataset, flags: Sequence[str], seed: int, split: str, runs: Path) -> Trial:
    """Trains with a seed and measures the result; goes on where it was killed.

    Args:
        dataset: What to train on.
        flags: Of `train`.
        seed: Its seed.
        split: The split that is held out.
        runs: Folder for the run.

    Raises:
        CommandError: It failed.
    """
    folder = runs / f"{dataset.path.name}-{digest(flags, dataset.dataset_id.encode())}-{seed}"
    kept = folder.with_name(f"{folder.name}.json")
    if kept.exists():
        print(f"  seed {seed}: kept from an earlier call: {kept}", flush=True)
        return Trial(**json.loads(kept.read_text(encoding="utf-8")))
    runs.mkdir(parents=True, exist_ok=True)
    print(f"  seed {seed}: {folder}/log.txt tells how it goes", flush=True)
    load = os.getloadavg()[0]
    if (folder / "config.json").exists():
        done = command("train", ["resume", str(folder), "--json"], runs)
    else:
        given = [*flags, "--seed", str(seed), "--run", str(folder), "--json"]
        done = command("train", [str(dataset.path), *given], runs)
    trained = json.loads(done.last_line)
    measured = evaluate(folder, split, runs)
    trial = Trial(
        exact=measured["exact"],
        characters=measured["character_accuracy"],
        epochs=trained["epochs"],
        seconds=trained["seconds"],
        images_per_second=trained["images_per_second"],
        memory=done.largest,
        load=load,
    )
    part = kept.with_name(kept.name + PART)
    part.write_text(json.dumps(asdict(trial)), encoding="utf-8")
    part.rename(kept)
    return trial


def evaluate(run_folder: Path, split: str, logs: Path) -> dict[str, Any]:
    """Returns the JSON summary of `train evaluate`."""
    done = command("train", ["evaluate", str(run_folder), "--split", split, "--json"], logs)
    measured: dict[str, Any] = json.loads(done.last_line)
    return measured


def command(program: str, arguments: Sequence[str], logs: Path) -> Run:
    """Runs one of the project's commands.

    Raises:
        CommandError: It failed.
    """
    return run([sys.executable, "-m", program, *arguments], ROOT, ENVIRONMENT, logs)


def digest(words: Sequence[str], content: bytes = b"") -> str:
    """Returns a short name for a list of words and some content."""
    return hashlib.sha256(json.dumps([*words]).encode() + content).hexdigest()[:10]


@contextlib.contextmanager
def runs_folder(cache: Path) -> Iterator[Path]:
    """Gives the folder for runs of today's code; says so if the code changes meanwhile."""
    code = code_digest()
    yield cache / "runs" / code
    if code != code_digest():
        print("warning: the code has changed meanwhile: the runs may be of different code")


def code_digest() -> str:
    """Returns a short name for the code of both commands: results of other code are not kept."""
    files = sorted(path for name in PRODUCT for path in (ROOT / name).rglob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:10]
