"""All histograms of a training, left out where they would cost much time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import keras

from train.model.recogniser import inference_network
from train.records.batches import BatchSource
from train.training.board.activations import Activations
from train.training.board.histogram import weight_histograms
from train.training.board.norms import GradientNorms

_SHARE = 0.01  # of the time, at most: what is written besides takes less than another one


class Histograms:
    """Histograms of weights, of gradients' norms, and of activations on a fixed batch.

    Which epochs have them depends on the clock, so a resumed run may have them at others: nothing
    that training repeats may depend on them.

    Args:
        source: Where the fixed batch comes from.
    """

    def __init__(self, source: BatchSource) -> None:
        self._source = source
        self._due = time.perf_counter()  # at once: nobody knows yet what they cost
        self._activations: Activations | None = None

    def take(self, model: keras.Model, norms: GradientNorms, is_last: bool) -> list[Any]:
        """Returns the `Summary` messages of an epoch's end; none if they would cost too much.

        Args:
            model: In training.
            norms: Of the epoch.
            is_last: Whether it is the last epoch, which always has them.
        """
        started = time.perf_counter()
        if started < self._due and not is_last:
            return []
        messages = [message for message in self._all(model, norms) if message is not None]
        ended = time.perf_counter()
        self._due = ended + (ended - started) / _SHARE
        return messages

    def _all(self, model: keras.Model, norms: GradientNorms) -> Iterator[Any]:
        yield from weight_histograms(model.trainable_variables)
        yield from norms.histograms()
        if self._activations is None:
            self._activations = Activations(inference_network(model), self._source)
        yield from self._activations.histograms()
