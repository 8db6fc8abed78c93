"""From a feature map to what each output sees: columns, and places to look at them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import layers

from train.models.parts import he, normalise

READS_PER_OUTPUT = 3  # places at which each output looks at the columns
READ_WIDTH = 0.7  # standard deviation of a first look, in distances between places


def columns_of(x: Any, features: int, seeds: Iterator[int]) -> Any:
    """Returns one vector for each column of a feature map, [batch, columns, features]."""
    _, rows, columns, _ = x.shape
    x = layers.Conv2D(
        features, (rows, 1), use_bias=False, kernel_initializer=he(seeds), name="columns_conv"
    )(x)
    x = layers.Reshape((columns, features), name="columns_reshape")(x)
    return normalise(x, "columns")


def read(x: Any, num_outputs: int, seeds: Iterator[int]) -> Any:
    """Returns what each output sees, [batch, num_outputs, READS_PER_OUTPUT * features].

    Each output reads weighted means of the columns. The weights begin at evenly spaced places,
    whatever the width and the number of outputs, and learn both where the characters really are
    (the bias) and to follow the content (the kernel), for texts of varying length and spacing.
    """
    _, columns, features = x.shape
    reads = num_outputs * READS_PER_OUTPUT
    attend = layers.EinsumDense(
        "bcf,fr->bcr",
        (columns, reads),
        bias_axes="cr",
        kernel_initializer=keras.initializers.RandomNormal(stddev=0.01, seed=next(seeds)),
        dtype="float32",
        name="read_attend",
    )
    scores = attend(x)
    attend.bias.assign(_places(columns, reads))
    weights = layers.Softmax(axis=1, dtype="float32", name="read_weights")(scores)
    x = layers.Dot(axes=(1, 1), name="read_columns")([weights, x])
    return layers.Reshape((num_outputs, READS_PER_OUTPUT * features), name="read_outputs")(x)


def _places(columns: int, reads: int) -> npt.NDArray[np.float32]:
    """Returns the logarithms of bell curves around evenly spaced places.

    Returns:
        float32 in (-inf, 0], shape (columns, reads).
    """
    column = (np.arange(columns) + 0.5) / columns
    place = (np.arange(reads) + 0.5) / reads
    distance = (column[:, None] - place) * reads / READ_WIDTH
    return (-0.5 * distance**2).astype(np.float32)
