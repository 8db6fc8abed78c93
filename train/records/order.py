"""The order of records: a pure function of (seed, epoch, position), without any state.

A block is one shard. In each epoch the blocks are permuted and laid end to end; the line is cut
into windows of a fixed number of records, and the records of each window are permuted. A window
as large as the split makes a true global shuffle.

Each permutation is the stable argsort of n 64-bit words from
`numpy.random.Philox(key=[seed, epoch << 32 | window]).random_raw(n)`, the key being of two 64-bit
words too; the blocks' permutation uses window 2**32 - 1. NumPy promises the same raw words in
every version, which it does not for `Generator.permutation`.

Any number of threads may ask. An order holds the windows asked for last, at 8 bytes a record;
making one takes 16 bytes a record for a moment, and one is made at a time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np

from train.records.forks import renew_in_forks

Result = TypeVar("Result")
Ints = np.ndarray[Any, np.dtype[np.int64]]
Words = np.ndarray[Any, np.dtype[np.uint64]]

BLOCKS_WINDOW = (1 << 32) - 1
"""Stands for the permutation of the blocks where others have their window's number."""

DEFAULT_WINDOW_BYTES = 4 << 30
"""A window by default holds so many bytes of records: never a function of the machine."""

_WINDOWS_KEPT = 2  # a batch may reach over the end of a window
_EPOCHS_KEPT = 2  # what is read ahead may lie in the next epoch
_PART_RECORDS = 1 << 14  # 128 KiB: stays in a core's cache


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """Records that lie side by side in one shard.

    Attributes:
        shard: Number of the shard in the dataset's order.
        start: First record, counted in the shard.
        stop: One past the last record; stop > start.
    """

    shard: int
    start: int
    stop: int


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
    return stable_argsort(np.random.Philox(key=key).random_raw(num_items))


def stable_argsort(words: Words) -> Ints:
    """Returns `np.argsort(words, kind="stable")`.

    Sorting without stability takes half the time and no memory of its own. Where no two words are
    equal, and of 64 random bits hardly ever two are, the result is the same.
    """
    order = np.argsort(words)
    for first in range(0, len(order), _PART_RECORDS):
        part = words[order[first : first + _PART_RECORDS + 1]]
        if (part[1:] == part[:-1]).any():
            return np.argsort(words, kind="stable")
    return order


class RecordOrder:
    """The order in which epochs go through the records of a split.

    Args:
        shard_records: Records of each shard, in the dataset's order.
        seed: In [0, 2**64).
        window: Records that are shuffled as one. At least 1.
        shuffle: False: every epoch goes through the records as they lie.

    Attributes:
        shard_records: Records of each shard.
        window: Records that are shuffled as one.
        shuffled: Whether they are; if not, the window changes nothing.
        num_records: Records of the split.
        num_windows: Windows of an epoch; the last one may be short.
    """

    def __init__(
        self, shard_records: Sequence[int], *, seed: int, window: int, shuffle: bool = True
    ) -> None:
        if window < 1:
            raise ValueError(f"`window` must be at least 1, got {window}.")
        self.shard_records = list(shard_records)
        self._sizes = np.array(shard_records, np.int64)
        self._starts = np.cumsum(self._sizes) - self._sizes
        self._seed = seed
        self.window = window
        self.shuffled = shuffle
        self._lines: _Recent[_Line] = _Recent(_EPOCHS_KEPT)
        self._windows: _Recent[Ints] = _Recent(_WINDOWS_KEPT)
        self.num_records = int(self._sizes.sum())
        self.num_windows = -(-self.num_records // window)

    def records(self, epoch: int, start: int, stop: int) -> Ints:
        """Returns which records stand at positions [start, stop) of an epoch.

        Costs O(window), wherever the positions are.

        Returns:
            Record numbers in [0, num_records), counted over the shards in the dataset's order.
        """
        if not 0 <= start <= stop <= self.num_records:
            raise ValueError(f"positions [{start}, {stop}) are not in [0, {self.num_records}).")
        if not self.shuffled:
            return np.arange(start, stop)
        parts = [np.arange(0)]
        for window in range(start // self.window, -(-stop // self.window)):
            first = window * self.window
            parts.append(self._window_records(epoch, window)[max(start - first, 0) : stop - first])
        return np.concatenate(parts)

    def window_of(self, position: int) -> int:
        """Returns the number of the window that a position of an epoch lies in."""
        if not 0 <= position < self.num_records:
            raise ValueError(f"position {position} is not in [0, {self.num_records}).")
        return position // self.window

    def window_spans(self, epoch: int, window: int) -> list[Span]:
        """Returns where the records of a window lie, in the order of the permuted blocks.

        Only the first and the last span may be less than a whole shard; a shard without records
        is left out.

        Args:
            epoch: In [0, 2**32).
            window: In [0, num_windows).
        """
        start, stop = self._bounds(window)
        line = self._lines.get((epoch,), lambda: self._line(epoch))
        some = slice(
            int(np.searchsorted(line.ends, start, side="right")),
            int(np.searchsorted(line.ends, stop, side="left")) + 1,
        )
        blocks = line.blocks[some]
        sizes = self._sizes[blocks]
        offsets = line.ends[some] - sizes  # where the blocks start in the line
        lows = np.maximum(start - offsets, 0).tolist()
        highs = np.minimum(stop - offsets, sizes).tolist()
        return [
            Span(shard=shard, start=low, stop=high)
            for shard, low, high in zip(blocks.tolist(), lows, highs, strict=True)
            if low < high
        ]

    def shards_from(self, epoch: int, window: int) -> Ints:
        """Returns all shards in the order in which they are next used from a window on.

        Those that lie behind the window come last, in the order of the next epoch.
        """
        start, _ = self._bounds(window)
        line = self._lines.get((epoch,), lambda: self._line(epoch))
        later = self._lines.get((epoch + 1,), lambda: self._line(epoch + 1)).blocks
        ahead = line.blocks[np.searchsorted(line.ends, start, side="right") :]
        return np.concatenate([ahead, later[~np.isin(later, ahead)]])

    def _bounds(self, window: int) -> tuple[int, int]:
        """Returns the positions [start, stop) of a window."""
        if not 0 <= window < self.num_windows:
            raise ValueError(f"window {window} is not in [0, {self.num_windows}).")
        start = window * self.window
        return start, min(start + self.window, self.num_records)

    def _line(self, epoch: int) -> _Line:
        """Returns the blocks of an epoch, laid end to end."""
        if self.shuffled:
            blocks = permutation(len(self._sizes), self._seed, epoch, BLOCKS_WINDOW)
        else:
            blocks = np.arange(len(self._sizes))
        return _Line(blocks=blocks, ends=np.cumsum(self._sizes[blocks]))

    def _window_records(self, epoch: int, window: int) -> Ints:
        """Returns the records of one window in their order."""
        return self._windows.get((epoch, window), lambda: self._shuffled(epoch, window))

    def _shuffled(self, epoch: int, window: int) -> Ints:
        """Computes the records of one window in their order."""
        start, stop = self._bounds(window)
        records = permutation(stop - start, self._seed, epoch, window)
        spans = self.window_spans(epoch, window)
        counts = np.array([span.stop - span.start for span in spans])
        ends = np.cumsum(counts)
        firsts = self._starts[[span.shard for span in spans]] + [span.start for span in spans]
        shifts = firsts - (ends - counts)  # from a place in the line of spans to the record there
        for first in range(0, len(records), _PART_RECORDS):  # in place: no second array
            part = records[first : first + _PART_RECORDS]
            part += shifts[np.searchsorted(ends, part, side="right")]
        return records


@dataclass(frozen=True, kw_only=True, slots=True)
class _Line:
    """The blocks of an epoch, laid end to end.

    Attributes:
        blocks: Numbers of the shards.
        ends: Position in the epoch where each of them ends.
    """

    blocks: Ints
    ends: Ints


class _Recent(Generic[Result]):
    """Keeps the last few results of a computation, for any number of threads.

    A thread that finds its result never waits. Missing ones are computed one at a time, so that
    memory stays bounded, and only once however many threads ask.

    Args:
        size: Results that are kept.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._results: dict[tuple[int, ...], Result] = {}
        self._lock = threading.Lock()
        renew_in_forks(self)

    def after_fork(self) -> None:
        """Replaces the lock in a forked process."""
        self._lock = threading.Lock()

    def get(self, key: tuple[int, ...], compute: Callable[[], Result]) -> Result:
        """Returns the result kept under a key, or computes and keeps it."""
        result = self._results.get(key)
        if result is not None:
            return result
        with self._lock:
            result = self._results.get(key)  # another thread may have been first
            if result is None:
                while len(self._results) >= self._size:  # makes room before it computes
                    del self._results[next(iter(self._results))]
                result = self._results[key] = compute()
        return result
