"""Batches as a `keras.utils.PyDataset`: for `model.fit` on any backend of Keras."""

from __future__ import annotations

from typing import Any

import keras

from train.source import BatchSource


class BatchDataset(keras.utils.PyDataset):
    """The batches of a split, one epoch after the other.

    Args:
        source: Makes the batches.
        epoch: The first epoch.
        start_step: Batches that the first epoch leaves out.
        **options: Of `keras.utils.PyDataset`: `workers` threads (by default 2) and
            `max_queue_size` batches made ahead.
    """

    def __init__(
        self, source: BatchSource, *, epoch: int = 0, start_step: int = 0, **options: Any
    ) -> None:
        super().__init__(**{"workers": 2, **options})
        self._source, self._epoch, self._start_step = source, epoch, start_step

    def __len__(self) -> int:
        """Returns the batches of the epoch."""
        return self._source.num_steps - self._start_step

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        """Returns a batch of the epoch, (images, labels)."""
        return self._source.element(self._source.batch(self._epoch, self._start_step + index))

    def on_epoch_end(self) -> None:
        """Goes on to the next epoch."""
        self._epoch += 1
        self._start_step = 0
