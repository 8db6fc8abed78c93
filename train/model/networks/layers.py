"""What networks are made of: convolutions, normalisation, pooling, and seeds for each."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import layers

Pooling = tuple[int, int]
"""Rows and columns that are made one."""

NUM_STAGES = 4  # a stem and three more

BATCHNORM_MOMENTUM = 0.9  # Keras' 0.99 needs more steps to settle than 1,000 images give
FINAL_ROWS = 4  # of the feature map: strokes above, in and below the middle stay apart
COLUMNS_PER_OUTPUT = 3  # of the feature map: a character's left, middle and right


def layer_seeds(seed: int) -> Iterator[int]:
    """Yields a uint32 seed for each layer; neighbouring seeds give unrelated sequences."""
    child = np.random.SeedSequence(seed)
    while True:
        (child,) = child.spawn(1)
        yield int(child.generate_state(1)[0])


def he(seeds: Iterator[int]) -> Any:
    """Returns the initialiser of kernels that a ReLU follows (He et al., ICCV 2015)."""
    return keras.initializers.HeNormal(seed=next(seeds))


def poolings(height: int, width: int, num_outputs: int) -> list[Pooling]:
    """Returns the size of the pooling after each stage.

    Rows shrink to about FINAL_ROWS, columns as long as every output keeps COLUMNS_PER_OUTPUT.
    Early poolings come first, since they save most work; what four of them leave of a large
    image, the first takes too.
    """
    least_columns = COLUMNS_PER_OUTPUT * num_outputs
    down = max(0, round(math.log2(height / FINAL_ROWS)))
    across = max(0, math.floor(math.log2(width / least_columns)))
    # A wide image of few characters: columns need not shrink further than rows do.
    across = min(across, max(down, 1))
    last = NUM_STAGES - 1
    first = (2 ** max(down - last, min(down, 1)), 2 ** max(across - last, min(across, 1)))
    return [first, *((1 + (down > i), 1 + (across > i)) for i in range(1, NUM_STAGES))]


def convolve(x: Any, filters: int, size: int, name: str, seeds: Iterator[int]) -> Any:
    """Returns a convolution without bias, since the normalisation that follows has one."""
    return layers.Conv2D(
        filters,
        size,
        padding="same",
        use_bias=False,
        kernel_initializer=he(seeds),
        name=f"{name}_conv",
    )(x)


def normalise(x: Any, name: str, *, relu: bool = True) -> Any:
    """Returns features normalised over batch and places, and cut at 0 unless told otherwise."""
    x = layers.BatchNormalization(momentum=BATCHNORM_MOMENTUM, name=f"{name}_norm")(x)
    return layers.ReLU(name=f"{name}_relu")(x) if relu else x


def pool(x: Any, size: Pooling, name: str) -> Any:
    """Returns the largest of the features in each rectangle."""
    if size == (1, 1):
        return x
    return layers.MaxPooling2D(size, padding="same", name=f"{name}_pool")(x)


def stem(x: Any, filters: int, pooling: Pooling, seeds: Iterator[int]) -> Any:
    """Returns the first features of an image."""
    # Pooled before it is normalised: the same features, for a quarter of the work.
    x = convolve(x, filters, 3, "stem", seeds)
    return normalise(pool(x, pooling, "stem"), "stem")
