"""Fetching the windows of an epoch before their records are asked for."""

from __future__ import annotations

import contextlib
import threading

import numpy as np

from train.cache.shards import CachedShards
from train.records.forks import renew_in_forks
from train.records.order import RecordOrder


class FetchAhead:
    """Lets shards be fetched in the order in which epochs use them.

    Args:
        shards: The reader's.
        order: Tells what windows hold.
        first_shard: The reader's number of the order's first shard.
    """

    def __init__(self, shards: CachedShards, order: RecordOrder, first_shard: int = 0) -> None:
        self._shards, self._order, self._first_shard = shards, order, first_shard
        self._lock = threading.Lock()
        self._place: tuple[int, int] | None = None  # epoch and window that were planned last
        renew_in_forks(self)

    def after_fork(self) -> None:
        """Replaces the lock in a forked process, so that the shards can refuse it."""
        self._lock = threading.Lock()

    def using(self, epoch: int, position: int) -> contextlib.AbstractContextManager[None]:
        """Is told of each batch: fetches its window, and ahead of it the next one.

        Args:
            epoch: In [0, 2**32).
            position: Where in the epoch the batch starts.
        """
        place = (epoch, self._order.window_of(position))
        with self._lock:
            if place != self._place:
                self._place = place
                self._plan(*place)
        return contextlib.nullcontext()

    def _plan(self, epoch: int, window: int) -> None:
        shards = self._order.shards_from(epoch, window)
        following = window + 1
        later = (epoch, following) if following < self._order.num_windows else (epoch + 1, 0)
        spans = [*self._order.window_spans(epoch, window), *self._order.window_spans(*later)]
        soon = np.array(list(dict.fromkeys(span.shard for span in spans)), np.int64)
        shards = np.concatenate([soon, shards[~np.isin(shards, soon)]])
        self._shards.plan(self._first_shard, shards + self._first_shard, len(soon))
