"""Batches as a `keras.utils.PyDataset`: for `model.fit` on any backend of Keras."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import keras

from train.input.clock import InputClock
from train.records.batches import MAKERS, Arrays, BatchSource
from train.records.forks import renew_in_forks

_BATCHES_AHEAD = 2 * MAKERS


def _makers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(MAKERS, thread_name_prefix="batches")


class BatchDataset(keras.utils.PyDataset):
    """The batches of a split, one epoch after the other.

    It makes batches ahead by threads of its own. Those of Keras (`workers`) begin an epoch before
    they are told of it, so they would make batches of the epoch before.

    Args:
        source: Makes the batches.
        epoch: The first epoch.
        start_step: Batches that the first epoch leaves out.
        clock: Measures the time that the consumer waits.
    """

    def __init__(
        self,
        source: BatchSource,
        *,
        epoch: int = 0,
        start_step: int = 0,
        clock: InputClock | None = None,
    ) -> None:
        super().__init__()
        self._clock = clock or InputClock()
        self._source, self._epoch, self._start_step = source, epoch, start_step
        self._begun = False
        self._ahead: dict[tuple[int, int], Future[Arrays]] = {}  # by epoch and step
        self._pool = _makers()
        renew_in_forks(self)

    def after_fork(self) -> None:
        """Replaces the threads in a forked process, and what those of the parent were making."""
        self._ahead = {}
        self._pool = _makers()

    def __len__(self) -> int:
        """Returns the batches of the epoch."""
        return self._source.num_steps - self._start_step

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        """Returns a batch of the epoch, (images, labels)."""
        step = self._start_step + index
        last = min(step + _BATCHES_AHEAD, self._source.num_steps)
        wanted = [(self._epoch, later) for later in range(step, last)]
        self._ahead = {
            place: self._ahead.get(place) or self._pool.submit(self._source.batch, *place)
            for place in wanted
        }
        self._clock.ask()
        arrays = self._ahead[wanted[0]].result()
        self._clock.got()
        return self._source.element(arrays)

    def on_epoch_begin(self) -> None:
        """Goes on to the next epoch, if there was one before."""
        # Not at an epoch's end: `fit` calls that also after it has looked at a few batches first.
        if self._begun:
            self._epoch += 1
            self._start_step = 0
        self._begun = True
