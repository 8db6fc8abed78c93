"""Prints a training's cache statistics at each epoch's end."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence

import keras

from convert.command.byte_sizes import show_bytes
from train.cache.counts import CacheTotals
from train.cache.shards import CachedShards
from train.errors import FormatError, ReplacedError, TryAgainError
from train.records.reader import RecordReader
from train.runs.events import EventFile
from train.runs.folder import EVENTS, RunFolder
from train.training.meter import EpochMeter
from train.training.recorder import Logs


class Supply(keras.callbacks.Callback):
    """Prints and plots what the cache did in each epoch; nothing without a cache.

    In the list of callbacks it comes before the `CheckpointKeeper`, which notes how long the
    files are.

    Args:
        readers: Of all splits.
        run: Where curves go.
        events: The file.
        meter: Knows the step.
        say: Prints a line that stays.
    """

    def __init__(
        self,
        readers: Sequence[RecordReader],
        run: RunFolder,
        events: EventFile,
        meter: EpochMeter,
        say: Callable[[str], None],
    ) -> None:
        super().__init__()
        self._caches = [r.far for r in readers if isinstance(r.far, CachedShards)]
        self._run, self._events, self._meter, self._say = run, events, meter, say
        self._before = CacheTotals()

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Prints where the cache is."""
        if self._caches and self._before == CacheTotals():
            folder, quota = self._caches[0].folder, sum(cache.quota for cache in self._caches)
            self._say(
                f"reads through {folder.path}, which may take {show_bytes(folder.budget)}; "
                f"uses up to {show_bytes(quota)} at once"
            )

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Prints what it did since the last epoch's end."""
        totals = self.totals()
        if totals is None:
            return
        now, self._before = totals - self._before, totals
        self._say(f"cache: {now}")
        values = {
            "cache/hits": now.hits,
            "cache/misses": now.misses,
            "cache/fetched_bytes_per_second": now.fetched_bytes_per_second or 0.0,
            "cache/waited_seconds": now.waited_seconds,
        }
        with self._run.writing(EVENTS):
            self._events.add_scalars(values, self._meter.total_steps)

    def totals(self) -> CacheTotals | None:
        """Returns the counts of the cache in this session; None without a cache."""
        if not self._caches:
            return None
        return sum((cache.totals() for cache in self._caches), CacheTotals())


@contextlib.contextmanager
def told_how_to_go_on(readers: Sequence[RecordReader], run: RunFolder) -> Iterator[None]:
    """Adds to a reader's passing failure how the run is resumed."""
    try:
        yield
    except TryAgainError as error:
        failed = next((reader for reader in readers if reader.failure is not None), None)
        if failed is None:
            raise
        if isinstance(error, ReplacedError):  # nothing passes: the run is of the other dataset
            path = failed.files[0].folder.path
            raise FormatError(
                f"{path}: was replaced by another dataset while it was read. "
                "The run stands at its last checkpoint: restore the dataset, then go on with "
                f"`train resume {run.address}`."
            ) from error
        raise TryAgainError(
            f"{error} The run stands at its last checkpoint: go on with "
            f"`train resume {run.address}`."
        ) from error
