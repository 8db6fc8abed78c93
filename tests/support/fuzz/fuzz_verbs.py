"""Every verb and function that reads datasets and runs, and what it may write."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import tensorflow as tf
from fuzz_damage import Random
from fuzz_trees import SMALL

from convert.cli import main as convert_main
from convert.errors import ShardfeedError
from train import load_dataset, load_numpy, load_pydataset
from train.cli import main as train_main

_CNN = ("--batch-size", "8", "--model", "cnn", "--width", "0.125", "--no-augment")


@dataclass(frozen=True, kw_only=True, slots=True)
class Verb:
    """A verb.

    Attributes:
        share: How many cases of a hundred are its.
        run: Runs it on a dataset of some encoding.
        trees: What is damaged; `dataset` is the one of the encoding.
        writes: Beginnings of the paths that it may write.
        outputs: Paths that it makes, where something may stand already.
        may_find: Whether it may end with 1 because of its result.
    """

    share: int
    run: Callable[[str, Random], object]
    trees: tuple[str, ...] = ("dataset",)
    writes: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    may_find: bool = False


def _verify(dataset: str, random: Random) -> None:
    flags = [[], ["--manifest", "m.csv"], ["--manifest", "m.csv", "--deep"], ["--json"]]
    convert_main(["verify", dataset, "--workers", "1", *flags[random.integers(4)]])


def _show(dataset: str, random: Random) -> None:
    flags = [["--class", "1"], ["--split", "validation"], ["--json"], []]
    words = ["--count", "2", *flags[random.integers(4)]]
    convert_main(["show", dataset, "--sheets", "sheets", *words])


def _resume_conversion(dataset: str, random: Random) -> None:
    convert_main(["run", "m.csv", "half/out", *SMALL, "--max-bad-fraction", "0.5"])


def _overwrite(dataset: str, random: Random) -> None:
    flags = [[], ["--overwrite"], ["--retry-quarantined"], ["--overwrite", "--seed", "3"]]
    how = ["--encoding", dataset, "--max-bad-fraction", "0.5", *flags[random.integers(4)]]
    convert_main(["run", "m.csv", dataset, *SMALL, *how])


def _load(dataset: str, random: Random, **options: Any) -> None:
    split = random.choice(["train", "validation"]).item()
    loader = [load_numpy, load_numpy, load_pydataset, load_dataset][random.integers(4)]
    loaded = loader(dataset, split, 4, **options)
    if loader is load_dataset:
        loaded = _unwrapped(loaded)
    batches = [loaded[step] for step in range(len(loaded))] if loader is load_pydataset else loaded
    for images, _ in batches:
        assert 0 < len(images) <= 4 and images.shape[1:] == (8, 12, 3), images.shape


def _unwrapped(batches: Iterable[Any]) -> Iterator[Any]:
    """Yields batches; an error of ours in TensorFlow's words becomes one again."""
    try:
        yield from batches
    except tf.errors.OpError as error:
        ours = re.search(r"^(?:convert|train)\.errors\.\w+: (.*)$", error.message, re.MULTILINE)
        assert ours, error.message
        raise ShardfeedError(ours[1]) from error


def _load_cached(dataset: str, random: Random) -> None:
    _load("raw", random, cache="cache", cache_bytes=10**6)


def _evaluate(dataset: str, random: Random) -> None:
    flags = [[], ["--split", "train"], ["--json"], ["raw"]]
    train_main(["evaluate", "run", *flags[random.integers(4)]])


def _predict(dataset: str, random: Random) -> None:
    train_main(["predict", "run", "i/1.png", "i/2.png"])


def _predict_split(dataset: str, random: Random) -> None:
    flags = [[], ["--manifest", "m.csv"], ["--format", "jsonl"], ["--output", "read.csv"]]
    train_main(["predict", "run", "--split", "validation", *flags[random.integers(4)]])


def _export(dataset: str, random: Random) -> None:
    flags: list[list[str]] = [[], ["--overwrite"], ["--output", "exported"]]
    train_main(["export", "run", "--to", "keras", *flags[random.integers(3)]])


def _resume(dataset: str, random: Random) -> None:
    train_main(["resume", "run", "--epochs", "2"])


def _fit(dataset: str, random: Random) -> None:
    train_main(["fit", dataset, "--run", "new", "--epochs", "1", *_CNN])


def _bench(dataset: str, random: Random) -> None:
    train_main(["bench", dataset, "--seconds", "0.01", *_CNN])


BOTH = ("run", "run", "run", "dataset")
VERBS = {
    "verify": Verb(share=16, run=_verify, may_find=True),
    "show": Verb(share=12, run=_show, writes=("sheets",), outputs=("sheets",)),
    "convert, staging": Verb(share=4, run=_resume_conversion, trees=("half",), writes=("half",)),
    "convert, output": Verb(
        share=4, run=_overwrite, writes=("raw", "png", "jpeg", "."), outputs=("raw", "png", "jpeg")
    ),
    "load": Verb(share=14, run=_load),
    "load, cache": Verb(
        share=10, run=_load_cached, trees=("cache", "cache", "raw"), writes=("cache",)
    ),
    "evaluate": Verb(share=10, run=_evaluate, trees=BOTH),
    "predict": Verb(share=6, run=_predict, trees=("run",)),
    "predict, split": Verb(
        share=6, run=_predict_split, trees=BOTH, writes=("read.csv",), outputs=("read.csv",)
    ),
    "export": Verb(
        share=6,
        run=_export,
        trees=BOTH,
        writes=("run/export", "exported"),
        outputs=("exported.keras", "exported.json"),
    ),
    "resume": Verb(share=8, run=_resume, trees=BOTH, writes=("run",)),
    "fit": Verb(share=3, run=_fit, writes=("new",), outputs=("new",)),
    "bench": Verb(share=1, run=_bench),
}
