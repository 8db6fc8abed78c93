"""What is to be read, as pieces that threads make ready side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np

from train.errors import ImageError, ShardfeedError

Bytes = np.ndarray[Any, np.dtype[np.uint8]]

PIECE = 16
"""Images in a piece: making one ready takes some 0.3 ms, handing a piece over 0.05."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Truth:
    """What an image says.

    Attributes:
        text: As a reader would write it.
        classes: Index of each output's class; -1 where the run does not know it.
    """

    text: str
    classes: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """An image that is ready to be read, or why there is none.

    Attributes:
        path: Where it came from.
        image: uint8, shape (height, width, channels); or an error.
        truth: What it says, if that is known.
    """

    path: str
    image: Bytes | ShardfeedError
    truth: Truth | None = None


Piece = Callable[[], list[Sample]]
"""Makes a few samples ready; threads call it."""


class Inputs(Protocol):
    """Images in an order.

    Attributes:
        total: How many there are. None: that is not known before the end.
        has_truths: Whether samples may have a truth.
    """

    @property
    def total(self) -> int | None: ...  # noqa: D102

    @property
    def has_truths(self) -> bool: ...  # noqa: D102

    def batches(self, batch_size: int) -> Iterator[list[Piece]]:
        """Yields the pieces of each batch, of `batch_size` images, the last of the rest."""


def spans(start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Yields [start, stop) cut into pieces."""
    for first in range(start, stop, PIECE):
        yield first, min(first + PIECE, stop)


def numbered(
    total: int | None, batch_size: int, load: Callable[[int, int], list[Sample]]
) -> Iterator[list[Piece]]:
    """Yields the pieces of each batch of images that are numbered from 0.

    Args:
        total: How many there are.
        batch_size: Images of a batch.
        load: Makes those of the numbers [start, stop) ready.
    """
    assert total is not None
    for first in range(0, total, batch_size):
        last = min(first + batch_size, total)
        yield [partial(load, start, stop) for start, stop in spans(first, last)]


def attempt(path: str, load: Callable[[], Bytes], truth: Truth | None = None) -> Sample:
    """Returns a sample, whatever happens while it is loaded."""
    try:
        return Sample(path=path, image=load(), truth=truth)
    except ShardfeedError as error:  # a disk that fails for one file may hold the others
        return Sample(path=path, image=error, truth=truth)
    except MemoryError:
        too_large = ImageError("too_large", "it does not fit in memory")
        return Sample(path=path, image=too_large, truth=truth)


def stack(samples: Sequence[Sample]) -> Bytes:
    """Returns the images that are there, uint8, shape (n, height, width, channels)."""
    images = [sample.image for sample in samples if isinstance(sample.image, np.ndarray)]
    return np.stack(images) if images else np.empty(0, np.uint8)
