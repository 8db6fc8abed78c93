"""The network at work: batches of images in, the likeliest classes of each output out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from train.evaluation.calibration import Scale, calibrated
from train.model.probabilities import with_probabilities
from train.predict.sources.inputs import Bytes

Ints = np.ndarray[Any, np.dtype[np.int32]]
Floats = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """What was read in a batch, for each output.

    Attributes:
        classes: Likeliest classes, the first of them first, int32, shape (batch, k).
        confidences: How sure the model is of them, float32 in [0, 1], of the same shape.
    """

    classes: Ints
    confidences: Floats


class _Likeliest(keras.Model):
    """From images to the likeliest classes and their confidences, for each output.

    No functional model: its operations would have names of their own, which those of a saved
    network may have already.

    Args:
        network: From images to {output name: probabilities}.
        top_k: As for `BatchReader`.
        scale: As for `BatchReader`.
    """

    def __init__(self, network: keras.Model, top_k: int, scale: Scale | None) -> None:
        super().__init__(name="likeliest")
        self._network, self._top_k = network, top_k
        self._temperatures = None if scale is None else tuple(scale.temperatures)

    def call(self, images: Any) -> list[Any]:
        """Returns confidences and classes in turn, each of shape (batch, k)."""
        best = []
        # Chosen here, inside the graph: 4 x 21,000 classes of each image need not come out of it.
        for index, output in enumerate(self._network(images, training=False).values()):
            confidences, classes = ops.top_k(output, min(self._top_k, output.shape[-1]))
            if self._temperatures is not None:
                sharpened = calibrated(output, self._temperatures[index], ops)
                confidences = ops.take_along_axis(sharpened, classes, axis=-1)
            best += [confidences, classes]
        return best


class BatchReader:
    """Reads batches with a graph that is built for one size of them, once.

    Args:
        model: Predicts {output name: logits}.
        batch_size: Images of a batch.
        top_k: Classes to tell of each output; those with fewer tell all. At least 1.
        scale: Calibrates their confidences. None: they are the network's probabilities.
    """

    def __init__(
        self, model: keras.Model, batch_size: int, top_k: int, scale: Scale | None = None
    ) -> None:
        self._model = _Likeliest(with_probabilities(model), top_k, scale)
        self._batch_size = batch_size
        self._built = 0

    def read(self, images: Bytes) -> list[Reading]:
        """Runs the network on images and returns the likeliest classes of each output.

        Args:
            images: uint8, shape (n, height, width, channels), n in [1, batch_size].
        """
        count = len(images)
        # Another size would be another graph, which takes longer to build than a batch to read.
        if count < self._built:
            padding = np.zeros((self._built - count, *images.shape[1:]), np.uint8)
            images = np.concatenate([images, padding])
        self._built = max(self._built, count)
        found = self._model.predict_on_batch(images)
        return [
            Reading(
                classes=np.asarray(classes)[:count].astype(np.int32),
                confidences=np.asarray(confidences)[:count],
            )
            for confidences, classes in zip(found[::2], found[1::2], strict=True)
        ]
