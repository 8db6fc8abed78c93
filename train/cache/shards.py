"""The shards of a reader, in memory while somebody holds them.

A thread that reads records holds their shards, all at once, and waits for nothing else meanwhile.
It gets them when its turn has come and what all threads hold is no more than the reader may. So
no thread waits for another for ever. What nobody holds stays where it is until its room is needed.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import resource
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, wait
from functools import partial
from typing import Any

import numpy as np

from convert.dataset.mapping import Bytes
from train.cache.address_space import Addresses
from train.cache.counts import CacheCounts, CacheTotals
from train.cache.fetch import Fetcher, Item
from train.cache.fetch_threads import Streams
from train.cache.folder import CacheFolder
from train.errors import UsageError

Ints = np.ndarray[Any, np.dtype[np.int64]]

_STREAMS = 4  # one stream of HDFS gives a quarter of what a fast network or SSD takes
_SPARE_FILES = 256  # descriptors for all else in the process


class CachedShards:
    """Shards that come through a cache; threads may share it, forked processes not.

    Args:
        folder: The cache.
        items: The shards.
        quota: Bytes of shards that may be held at once; the largest shard, at least.
        leave: Called when the last user of this object is gone.

    Attributes:
        folder: The cache.
        quota: Bytes of shards that may be held at once.
    """

    def __init__(
        self, folder: CacheFolder, items: Sequence[Item], quota: int, leave: Callable[[], None]
    ) -> None:
        self.folder, self.quota = folder, quota
        self._items = items = list(items)
        self._sizes = np.array([item.shard.bytes for item in items], np.int64)
        self._addresses = Addresses(self._sizes.tolist())
        self._counts = CacheCounts()
        self._ranks = Ranks([item.name for item in items])
        self._fetcher = Fetcher(folder, self._ranks.of, self._counts)
        self._pins = np.zeros(len(items), np.int64)
        self._is_laid = self._sizes == 0  # there is nothing to lay
        self._descriptors: dict[int, int] = {}
        self._again = np.zeros(len(items), bool)  # fetched again, since they looked damaged
        self._ahead: dict[int, list[int]] = {}  # of each dataset, by the number of its first shard
        self._turns: deque[object] = deque()
        self._changed = threading.Condition()
        self._process = os.getpid()
        self._most_files = _allowed_files()
        fetcher = self._fetcher
        # The threads must not know this object, so that they end with its last user.
        self._streams = Streams(
            lambda shard, needed: fetcher.bring(items[shard], needed=needed), _STREAMS
        )
        end = partial(self._streams.end, fetcher.closed.set)
        weakref.finalize(self, _close, end, self._descriptors, leave)

    def memory(self, shard: int) -> Bytes:
        """Returns where a shard lies while somebody holds it: uint8, shape (size,)."""
        return self._addresses.memory(shard)

    def paths(self) -> list[str]:
        """Returns the shards' files that are in the cache."""
        paths = (self.folder.file(item.name) for item in self._items)
        return [path for path in paths if os.path.exists(path)]

    def totals(self) -> CacheTotals:
        """Returns the counts of the cache so far."""
        return self._counts.totals()

    def plan(self, dataset: int, shards: Ints, num_ahead: int) -> None:
        """Sets the shards of a dataset that will be used; those of other datasets stay.

        Args:
            dataset: The number of its first shard.
            shards: Their numbers in the order of their next use.
            num_ahead: So many of the first ones are fetched ahead.
        """
        self._require_same_process()
        self._ranks.set(shards)
        with self._changed:
            self._ahead[dataset] = shards[:num_ahead][~self._is_laid[shards[:num_ahead]]].tolist()
            turns = itertools.zip_longest(*self._ahead.values())
            ahead = [shard for turn in turns for shard in turn if shard is not None]
        self._streams.ahead(ahead)

    def parts(self, shards: Ints) -> list[Ints]:
        """Returns shards in groups that can be held one after the other.

        Args:
            shards: Numbers of shards, each once, shape (n,).
        """
        if self._sizes[shards].sum() <= self.quota and len(shards) <= self._most_files:
            return [shards]
        here = self._is_laid[shards]
        parts: list[list[int]] = [[]]
        room = self.quota
        for shard in np.concatenate([shards[here], shards[~here]]).tolist():
            room -= int(self._sizes[shard])
            if parts[-1] and (room < 0 or len(parts[-1]) == self._most_files):
                room = self.quota - int(self._sizes[shard])
                parts.append([])
            parts[-1].append(shard)
        return [np.array(part, np.int64) for part in parts]

    def _require_same_process(self) -> None:
        """Raises in a forked process, where no thread fetches and locks may be held for ever."""
        if os.getpid() != self._process:
            raise UsageError(
                "this process was forked from one that had opened the dataset. Open it in the "
                "process that reads it, or start processes by `spawn`."
            )

    @contextlib.contextmanager
    def holding(self, shards: Ints) -> Iterator[None]:
        """Holds shards: inside, their memory can be read. Never inside another one.

        Args:
            shards: One of `parts`.

        Raises:
            ShardfeedError: A shard cannot be fetched.
        """
        self._require_same_process()
        if not self._take_laid(shards):
            self._take(shards)
        try:
            self._get(shards)
            yield
        finally:
            with self._changed:
                self._pins[shards] -= 1
                if self._turns:
                    self._changed.notify_all()

    def fetch_again(self, shards: Ints) -> bool:
        """Takes shards that look damaged out of the cache, so that they are fetched again.

        Returns:
            False if that was done before, so that what they hold is what there is.
        """
        shards = shards[~self._again[shards]]
        if not len(shards):
            return False
        with self._turn(lambda: not self._pins[shards].any()):
            for shard in shards.tolist():
                self._again[shard] = True
                if shard in self._descriptors:
                    self._addresses.clear(shard)
                    self._is_laid[shard] = False
                    self._fetcher.forget(self._items[shard], self._descriptors.pop(shard))
        return True

    @contextlib.contextmanager
    def _turn(self, may_go: Callable[[], bool]) -> Iterator[None]:
        """Waits for all who came before, and for a condition; no other thread does anything."""
        turn = object()
        with self._changed:
            self._turns.append(turn)
            try:
                self._changed.wait_for(lambda: self._turns[0] is turn and may_go())
                yield
            finally:
                self._turns.remove(turn)
                self._changed.notify_all()

    def _take_laid(self, shards: Ints) -> bool:
        """Takes shards that lie in memory, which needs no more room, unless others wait."""
        with self._changed:
            if self._turns or not self._is_laid[shards].all():
                return False
            self._pins[shards] += 1
            return True

    def _take(self, shards: Ints) -> None:
        """Waits until shards may be held, and makes room for them among the reader's own."""
        with self._turn(lambda: self._fits(shards)):
            self._pins[shards] += 1
            self._clear_idle()

    def _fits(self, shards: Ints) -> bool:
        held = self._pins > 0
        held[shards] = True
        return self._sizes[held].sum() <= self.quota and held.sum() <= self._most_files

    def _clear_idle(self) -> None:
        """Lets go of shards that nobody holds, those used last first, until there is room."""
        kept = (self._is_laid & (self._sizes > 0)) | (self._pins > 0)
        size, number = self._sizes[kept].sum(), kept.sum()
        if size <= self.quota and number <= self._most_files:
            return
        idle = np.flatnonzero(kept & (self._pins == 0))
        for shard in idle[np.argsort(-self._ranks.ranks[idle], kind="stable")].tolist():
            self._addresses.clear(shard)
            self._is_laid[shard] = False
            os.close(self._descriptors.pop(shard))
            size, number = size - self._sizes[shard], number - 1
            if size <= self.quota and number <= self._most_files:
                return

    def _get(self, shards: Ints) -> None:
        """Waits until shards that are taken lie in memory."""
        missing = shards[~self._is_laid[shards]].tolist()
        if not missing:
            return
        with self._counts.waiting:
            futures = {shard: self._streams.need(shard) for shard in missing}
            wait(futures.values(), return_when=FIRST_EXCEPTION)
        with self._changed:
            for shard, future in futures.items():
                if not self._streams.give_up(shard, future) and future.exception() is None:
                    self._lay(shard, future.result().take())
        for future in futures.values():
            if future.done():
                future.result()  # raises what went wrong

    def _lay(self, shard: int, descriptor: int | None) -> None:
        """Lays a shard's file into memory, unless another thread has done so."""
        if descriptor is not None and self._is_laid[shard]:
            os.close(descriptor)
        elif descriptor is not None:
            self._addresses.lay(shard, descriptor)
            self._descriptors[shard] = descriptor
            self._is_laid[shard] = True
            self._counts.used(self._items[shard].name)


class Ranks:
    """The places of shards among those that are used next.

    Args:
        names: Of the shards' files; equal shards have one.

    Attributes:
        ranks: Of each shard, float64, shape (shards,); infinite if it is not used.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.ranks = np.full(len(names), np.inf)
        self._shards: dict[str, list[int]] = {}
        for shard, name in enumerate(names):
            self._shards.setdefault(name, []).append(shard)

    def set(self, shards: Ints) -> None:
        """Sets the places of some shards, in their order."""
        self.ranks[shards] = np.arange(len(shards)) / max(1, len(shards))

    def of(self, name: str) -> float | None:
        """Returns the place of a file; None if it is none of these shards."""
        shards = self._shards.get(name)
        return None if shards is None else float(self.ranks[shards].min())


def _allowed_files() -> int:
    """Returns how many shards may be open at once; lets the process open as many as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
    return 1 << 20 if soft == resource.RLIM_INFINITY else max(16, (soft - _SPARE_FILES) // 2)


def _close(end: Callable[[], None], descriptors: dict[int, int], leave: Callable[[], None]) -> None:
    end()
    for descriptor in descriptors.values():
        os.close(descriptor)
    descriptors.clear()
    leave()
