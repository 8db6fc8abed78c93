"""Prints a training's cache statistics at each epoch's end."""

from __future__ import annotations

from convert.command.byte_sizes import show_bytes
from train.cache.counts import CacheTotals
from train.cache.shards import CachedShards
from train.runs.folder import EVENTS
from train.training.session_state import Session


class CacheLine:
    """Prints and plots what the cache did in each epoch; nothing without a cache."""

    def __init__(self, session: Session) -> None:
        self._session = session
        far = [reader.far for reader in session.job.readers]
        self._caches = [cache for cache in far if isinstance(cache, CachedShards)]
        self._before = CacheTotals()

    def on_train_begin(self) -> None:
        """Prints where the cache is."""
        if self._caches and self._before == CacheTotals():
            folder, quota = self._caches[0].folder, sum(cache.quota for cache in self._caches)
            self._session.say(
                f"reads through {folder.path}, which may take {show_bytes(folder.budget)}; "
                f"uses up to {show_bytes(quota)} at once"
            )

    def on_epoch_end(self) -> None:
        """Prints what it did since the last epoch's end."""
        totals, session = self.totals(), self._session
        if totals is None:
            return
        now, self._before = totals - self._before, totals
        session.say(f"cache: {now}")
        values = {
            "cache/hits": now.hits,
            "cache/misses": now.misses,
            "cache/fetched_bytes_per_second": now.fetched_bytes_per_second or 0.0,
            "cache/waited_seconds": now.waited_seconds,
        }
        with session.run.writing(EVENTS):
            session.events.add_scalars(values, session.meter.total_steps)

    def totals(self) -> CacheTotals | None:
        """Returns the counts of the cache in this session; None without a cache."""
        if not self._caches:
            return None
        return sum((cache.totals() for cache in self._caches), CacheTotals())
