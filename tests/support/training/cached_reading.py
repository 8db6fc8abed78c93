"""Reads a dataset through a cache in a process of its own, and compares all with the dataset.

    python tests/support/training/cached_reading.py DATASET CACHE CACHE_BYTES SEED FETCHES [DIE_AT]

Ends after so many fetches, and prints a JSON object: fetches, batches, and how many were wrong.
With DIE_AT it kills itself in the middle of that fetch.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[3]))

from train.cache.partial_file import Part
from train.input.numpy_dataset import iterate
from train.input.open_source import open_source


def die_at(fetch: int) -> None:
    """Lets the process kill itself when a shard has come half."""
    numbers, write = itertools.count(1), Part.write

    def write_half(part: Part, piece: bytes) -> None:
        if next(numbers) == fetch:
            write(part, piece[: len(piece) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        write(part, piece)

    Part.write = write_half


def main(dataset: str, cache: str, cache_bytes: str, seed: str, fetches: str, *die: str) -> None:
    if die:
        die_at(int(die[0]))
    options = {"window": 20, "seed": int(seed)}
    plain = open_source(dataset, "train", 3, **options)
    source = open_source(
        dataset, "train", 3, cache=cache, cache_bytes=int(cache_bytes), verify_records="off",
        **options,
    )  # fmt: skip
    batches = wrong = 0
    for epoch in itertools.count():
        for step, (images, labels) in enumerate(iterate(source, epoch)):
            expected, expected_labels = plain.element(plain.batch(epoch, step))
            same = np.array_equal(images, expected) and all(
                np.array_equal(labels[name], expected_labels[name]) for name in labels
            )
            batches, wrong = batches + 1, wrong + (not same)
        found = source.reader.far.totals().misses
        if found >= int(fetches):
            print(json.dumps({"fetches": found, "batches": batches, "wrong": wrong}), flush=True)
            return


if __name__ == "__main__":
    main(*sys.argv[1:])
