"""The order of records: a pure function of (seed, epoch, position), without any state.

A block is one shard. In each epoch the blocks are permuted and laid end to end; the line is cut
into windows of a fixed number of records, and the records of each window are permuted. A window
as large as the split makes a true global shuffle.

Each permutation is the stable argsort of n 64-bit words from
`numpy.random.Philox(key=[seed, epoch << 32 | window]).random_raw(n)`; the blocks' permutation
uses window 2**32 - 1. NumPy promises the same raw words in every version, which it does not for
`Generator.permutation`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

Ints = np.ndarray[Any, np.dtype[np.int64]]

BLOCKS_WINDOW = (1 << 32) - 1
"""Stands for the permutation of the blocks where others have their window's number."""

DEFAULT_WINDOW_BYTES = 4 << 30
"""A window by default holds so many bytes of records: never a function of the machine."""

_WINDOWS_KEPT = 2  # a batch may reach over the end of a window


def default_window(num_records: int, stride: int) -> int:
    """Returns the window's size in records where the user names none."""
    return min(num_records, max(1, DEFAULT_WINDOW_BYTES // stride))


def permutation(num_items: int, seed: int, epoch: int, window: int) -> Ints:
    """Returns a permutation of range(num_items).

    Args:
        num_items: At least 0.
        seed: In [0, 2**64).
        epoch: In [0, 2**32).
        window: In [0, 2**32).
    """
    key = np.array([seed, epoch << 32 | window], np.uint64)
    words = np.random.Philox(key=key).random_raw(num_items)
    return np.argsort(words, kind="stable")


class RecordOrder:
    """The order in which epochs go through the records of a split.

    Args:
        shard_records: Records of each shard, in the dataset's order.
        seed: In [0, 2**64).
        window: Records that are shuffled as one. At least 1.
        shuffle: False: every epoch goes through the records as they lie.
    """

    def __init__(
        self, shard_records: Sequence[int], *, seed: int, window: int, shuffle: bool = True
    ) -> None:
        if window < 1:
            raise ValueError(f"`window` must be at least 1, got {window}.")
        self._sizes = np.array(shard_records, np.int64)
        self._starts = np.cumsum(self._sizes) - self._sizes
        self._seed = seed
        self._window = window
        self._shuffle = shuffle
        self._kept: dict[tuple[int, int], Ints] = {}
        self.num_records = int(self._sizes.sum())

    def records(self, epoch: int, start: int, stop: int) -> Ints:
        """Returns which records stand at positions [start, stop) of an epoch.

        Costs O(window), wherever the positions are.

        Returns:
            Record numbers in [0, num_records), counted over the shards in the dataset's order.
        """
        if not 0 <= start <= stop <= self.num_records:
            raise ValueError(f"positions [{start}, {stop}) are not in [0, {self.num_records}).")
        if not self._shuffle:
            return np.arange(start, stop)
        parts = []
        for window in range(start // self._window, -(-stop // self._window)):
            first = window * self._window
            parts.append(self._window_records(epoch, window)[max(start - first, 0) : stop - first])
        return np.concatenate(parts) if parts else np.arange(0)

    def _window_records(self, epoch: int, window: int) -> Ints:
        """Returns the records of one window in their order."""
        key = (epoch, window)
        if key not in self._kept:
            while len(self._kept) >= _WINDOWS_KEPT:
                del self._kept[next(iter(self._kept))]
            members = self._members(epoch, window)
            self._kept[key] = members[permutation(len(members), self._seed, epoch, window)]
        return self._kept[key]

    def _members(self, epoch: int, window: int) -> Ints:
        """Returns the records of one window as they lie in the permuted blocks."""
        blocks = permutation(len(self._sizes), self._seed, epoch, BLOCKS_WINDOW)
        ends = np.cumsum(self._sizes[blocks])
        start = window * self._window
        stop = min(start + self._window, self.num_records)
        parts = []
        for index in range(
            int(np.searchsorted(ends, start, side="right")),
            int(np.searchsorted(ends, stop, side="left")) + 1,
        ):
            block = blocks[index]
            offset = ends[index] - self._sizes[block]  # where the block starts in the line
            low, high = max(start - offset, 0), min(stop - offset, self._sizes[block])
            parts.append(self._starts[block] + np.arange(low, high))
        return np.concatenate(parts)
