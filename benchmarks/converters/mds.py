"""MosaicML streaming's `MDSWriter` in a pool: a folder for each piece, one index over all."""

from __future__ import annotations

import importlib
import multiprocessing
from typing import Any

import numpy as np

from benchmarks.converters.clock import timed
from benchmarks.converters.strips import Row, pixels, task

streaming: Any = importlib.import_module("streaming")
streaming_util: Any = importlib.import_module("streaming.base.util")

# A fifth of the time that MDS takes for its own array columns, which check every shape.
COLUMNS = {"image": "bytes", "label": "bytes"}


def write(rows: list[Row], folder: str) -> None:
    """Writes rows as shards of a folder; neither compressed nor hashed, as is the default."""
    with streaming.MDSWriter(columns=COLUMNS, out=folder) as writer:
        for image, labels in rows:
            writer.write(
                {"image": pixels(image).tobytes(), "label": np.array(labels, np.int32).tobytes()}
            )


def main() -> None:
    todo = task()
    # Forked, so that only the parent takes the seconds that loading the library takes.
    with multiprocessing.get_context("fork").Pool(todo.workers) as pool:
        pool.starmap(write, todo.pieces(), chunksize=1)
    streaming_util.merge_index(str(todo.output))


if __name__ == "__main__":
    with timed():
        main()
