"""From a feature map to what each output sees: columns, and places to look at them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import layers, ops

from train.model.networks.layers import he, normalise

READS_PER_OUTPUT = 3  # places at which each output looks at the columns
READ_WIDTH = 0.7  # standard deviation of a first look, in distances between places
PACE_FEATURES = 64
PACE_CONTEXT = 5  # columns that are seen together to tell how much text passes in one


def columns_of(x: Any, features: int, seeds: Iterator[int]) -> Any:
    """Returns one vector for each column of a feature map, [batch, columns, features]."""
    _, rows, columns, _ = x.shape
    x = layers.Conv2D(
        features, (rows, 1), use_bias=False, kernel_initializer=he(seeds), name="columns_conv"
    )(x)
    x = layers.Reshape((columns, features), name="columns_reshape")(x)
    return normalise(x, "columns")


def read(x: Any, num_outputs: int, seeds: Iterator[int]) -> Any:
    """Returns each output's features, [batch, num_outputs, READS_PER_OUTPUT * features + 1].

    Texts begin anywhere, and are as wide as they are. So the network counts: it learns from the
    content how many outputs pass in each column, and the sum up to a column tells where in the
    text that column is. Each output reads weighted means of the columns around its own place in
    the text; a second term lets it choose among them by what they show. At first all columns
    count alike, and the places are evenly spaced over the image. The last feature tells how far
    the output is from the text's end, for outputs that have nothing to read.

    The counting is that of "Continuous Integrate-and-Fire" (Dong and Xu, ICASSP 2020), the bell
    curves those of Graves, "Generating Sequences with Recurrent Neural Networks" (2013).
    """
    _, columns, features = x.shape
    reads = num_outputs * READS_PER_OUTPUT
    passed = _passed(x, num_outputs, seeds)
    position = ops.cumsum(passed, axis=1) - 0.5 * passed  # of each column's middle
    distance = ops.expand_dims(position, 2) - _places(reads, READS_PER_OUTPUT)
    near = -0.5 * ops.square(distance * (READS_PER_OUTPUT / READ_WIDTH))
    attend = layers.EinsumDense(
        "bcf,fr->bcr",
        (columns, reads),
        kernel_initializer=_small(seeds, 0.01),
        dtype="float32",
        name="read_attend",
    )
    weights = layers.Softmax(axis=1, dtype="float32", name="read_weights")(near + attend(x))
    x = layers.Dot(axes=(1, 1), name="read_columns")([weights, x])
    x = layers.Reshape((num_outputs, READS_PER_OUTPUT * features), name="read_outputs")(x)
    left = ops.sum(passed, axis=1, keepdims=True) - _places(num_outputs, 1)
    end = layers.Reshape((num_outputs, 1), dtype="float32", name="read_end")(ops.tanh(left))
    return layers.Concatenate(axis=2, name="read_all")([x, end])


def _passed(x: Any, num_outputs: int, seeds: Iterator[int]) -> Any:
    """Returns how many outputs pass in each column, float32 above 0, [batch, columns]."""
    columns = x.shape[1]
    x = layers.Conv1D(
        PACE_FEATURES,
        PACE_CONTEXT,
        padding="same",
        activation="relu",
        kernel_initializer=he(seeds),
        name="pace_context",
    )(x)
    pace = layers.Dense(
        1,
        activation="softplus",
        kernel_initializer=_small(seeds, 0.001),
        bias_initializer=keras.initializers.Constant(math.log(math.e - 1)),  # softplus gives 1
        dtype="float32",
        name="pace",
    )(x)
    pace = layers.Reshape((columns,), dtype="float32", name="pace_columns")(pace)
    return pace * (num_outputs / columns)


def _small(seeds: Iterator[int], deviation: float) -> Any:
    """Returns the initialiser of kernels that shall hardly matter at first."""
    return keras.initializers.RandomNormal(stddev=deviation, seed=next(seeds))


def _places(count: int, each: int) -> npt.NDArray[np.float32]:
    """Returns evenly spaced places in a text, in outputs: float32, shape (count,)."""
    return ((np.arange(count) + 0.5) / each).astype(np.float32)
