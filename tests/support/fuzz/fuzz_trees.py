"""Whole folders, to be damaged: datasets, a run, a cache, and a conversion that was stopped."""

import contextlib
import os
from pathlib import Path

from convert_cases import draw_sources, options_of
from train_cases import learn

from convert.errors import ShardfeedError
from convert.job import convert_dataset
from train import load_numpy

_ROWS = 32
_STRIDE = 369
SMALL = ("--size", "12", "8", "--shard-bytes", str(8 * _STRIDE), "--workers", "1")


def make_trees(folder: Path) -> None:
    """Makes them in the current folder, their sources, and what is around them.

    Three datasets, `run`, `cache`, and `half` with a staging folder in it.
    """
    (folder / "around" / "folder").mkdir(parents=True)
    (folder / "around" / "folder" / "inside.txt").write_text("inside")
    (folder / "around" / "victim.txt").write_text("a user's file")
    manifest = draw_sources(folder, _ROWS)
    os.rename(folder / "i/3.png", folder / "3.png")  # a row that is left out
    for encoding in ("raw", "png", "jpeg"):
        _convert(manifest, folder / encoding, encoding=encoding, max_bad_fraction=0.5)
    (folder / "half").mkdir()
    with contextlib.suppress(ShardfeedError):  # too many rows are bad: it can go on
        _convert(manifest, folder / "half" / "out", max_bad_fraction=0)
    os.rename(folder / "3.png", folder / "i/3.png")
    list(load_numpy("raw", "train", 8, cache="cache", cache_bytes=10**6))
    learn("raw", "run", batch_size=8)


def _convert(manifest: Path, dataset: Path, **more: object) -> None:
    convert_dataset(options_of(manifest.name, dataset, shard_bytes=8 * _STRIDE, **more))
