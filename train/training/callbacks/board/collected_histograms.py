"""All histograms of a training, left out where they would cost much time."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from train.hosts.sharded import predictor
from train.model.recogniser import inference_network
from train.records.batches import BatchSource
from train.training.callbacks.board.histogram_message import WEIGHTS, histogram, weight_histograms
from train.training.callbacks.board.norms import GradientNorms
from train.training.callbacks.board.pictures import fixed_images

_SHARE = 0.01  # of the time, at most: what is written besides takes less than another one
MAX_IMAGES = 16  # more change a histogram little, and cost as much as validating so many
_MAX_VALUES = 1 << 24  # of all layers together: they are in memory at once


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


class Activations:
    """The output of every layer that has weights, for the first images of a split.

    Those layers are convolutions, dense layers and normalisations, and what else learns. Nothing
    of the network changes: dropout is off, and normalisation uses its moving averages.

    Args:
        network: A functional model with one input; its variables are shared.
        source: Batches of the split; the images are taken from there at once, not augmented.
    """

    def __init__(self, network: keras.Model, source: BatchSource) -> None:
        outputs = dict(outputs_of(network))
        self._probe = keras.Model(network.input, outputs)
        self._predictor = predictor(self._probe)
        values = sum(math.prod(output.shape[1:]) for output in outputs.values())
        self._images = fixed_images(source, min(MAX_IMAGES, max(1, _MAX_VALUES // values)))

    def histograms(self) -> Iterator[Any]:
        """Yields a `Summary` of each layer's output, as the network is now."""
        for name, output in self._answers().items():
            values = np.asarray(keras.ops.convert_to_numpy(output))
            yield histogram(f"{WEIGHTS}_activations/{name}", values)

    def _answers(self) -> dict[str, Any]:
        # JAX compiles operations that come one by one, each by itself. To TensorFlow they cost
        # little, and a graph of them as much as five epochs' histograms.
        if keras.backend.backend() == "jax":
            return self._predictor.predict_on_batch(self._images)
        return self._probe(self._images, training=False)


def outputs_of(network: keras.Model) -> Iterator[tuple[str, Any]]:
    """Yields name and symbolic output of each layer with weights.

    Of a layer that is called several times it is the first output; one that returns several
    tensors is left out.
    """
    for layer in network.layers:
        if layer.weights and isinstance(layer.output, keras.KerasTensor):
            yield layer.name, layer.output
