"""Heads: from each output's features to logits, by one classifier for all or one for each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import keras
from keras import layers


def shared_head(x: Any, outputs: Mapping[str, int], seeds: Iterator[int]) -> dict[str, Any]:
    """Returns {output name: logits} of one classifier, from x: [batch, outputs, features]."""
    classes = next(iter(outputs.values()))
    logits = _classifier(classes, "classifier", seeds)(x)
    return {
        name: layers.Reshape((classes,), dtype="float32", name=name)(
            _position(logits, index, name, dtype="float32")
        )
        for index, name in enumerate(outputs)
    }


def separate_heads(x: Any, outputs: Mapping[str, int], seeds: Iterator[int]) -> dict[str, Any]:
    """Returns {output name: logits} of a classifier each, from x: [batch, outputs, features]."""
    return {
        name: _classifier(classes, name, seeds)(
            layers.Flatten(name=f"{name}_features")(_position(x, index, name))
        )
        for index, (name, classes) in enumerate(outputs.items())
    }


def _position(x: Any, index: int, name: str, dtype: str | None = None) -> Any:
    """Returns one output's part of x: [batch, outputs, n], as [batch, 1, n]."""
    crop = (index, x.shape[1] - 1 - index)
    return layers.Cropping1D(crop, dtype=dtype, name=f"{name}_position")(x)


def _classifier(classes: int, name: str, seeds: Iterator[int]) -> Any:
    # 16-bit logits falsify accuracies: Keras casts the labels to their dtype.
    initializer = keras.initializers.GlorotUniform(seed=next(seeds))
    return layers.Dense(classes, kernel_initializer=initializer, dtype="float32", name=name)
