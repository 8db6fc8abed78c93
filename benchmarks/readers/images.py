"""The images that every reader but the Sequence reads: random, the same for all.

It runs in the peers' environments too, so it needs nothing but NumPy.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

HEIGHT, WIDTH, CHANNELS = 32, 128, 3
IMAGE_SHAPE = (HEIGHT, WIDTH, CHANNELS)
IMAGE_BYTES = HEIGHT * WIDTH * CHANNELS
NUM_LABELS = 4
NUM_CLASSES = 100
PIECE_RECORDS = 1024  # made at a time: 13 MB

Pixels: TypeAlias = np.ndarray[Any, np.dtype[np.uint8]]
Labels: TypeAlias = np.ndarray[Any, np.dtype[np.int32]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """What a reader has to read.

    Attributes:
        folder: Where its dataset is.
        num_records: Records of the dataset; a multiple of the batch size.
        batch_size: Records of a batch.
    """

    folder: Path
    num_records: int
    batch_size: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Sums:
    """What a pass through the data adds up to.

    Attributes:
        first_labels: Sum of the labels of the first output.
        pixels: Sum of all bytes of all images.
        pairs: Sum of each image's first byte times its first label: one more than the image's
            own label would show here.
    """

    first_labels: int = 0
    pixels: int = 0
    pairs: int = 0

    def add(self, pixels: Pixels, first_labels: Labels) -> Sums:
        """Returns the sums with a batch added."""
        labels = first_labels.astype(np.int64)
        return Sums(
            first_labels=self.first_labels + int(labels.sum()),
            pixels=self.pixels + int(pixels.sum(dtype=np.int64)),
            pairs=self.pairs + int(labels @ pixels.reshape(len(pixels), -1)[:, 0]),
        )


def pieces(num_records: int) -> Iterator[tuple[Pixels, Labels]]:
    """Makes the images and their labels, piece by piece."""
    for start in range(0, num_records, PIECE_RECORDS):
        rng = np.random.default_rng(start)
        shape = (PIECE_RECORDS, NUM_LABELS)
        labels = rng.integers(NUM_CLASSES, size=shape, dtype=np.int32)
        pixels = np.frombuffer(rng.bytes(PIECE_RECORDS * IMAGE_BYTES), np.uint8)
        count = min(PIECE_RECORDS, num_records - start)
        yield pixels.reshape(-1, *IMAGE_SHAPE)[:count], labels[:count]


def records(num_records: int) -> Iterator[tuple[bytes, bytes]]:
    """Makes each record as two byte strings: the image, and the labels as int32."""
    for pixels, labels in pieces(num_records):
        for image, label in zip(pixels, labels, strict=True):
            yield image.tobytes(), label.tobytes()


def sums(num_records: int) -> Sums:
    """Returns the sum that a pass must have."""
    total = Sums()
    for pixels, labels in pieces(num_records):
        total = total.add(pixels, labels[:, 0])
    return total
