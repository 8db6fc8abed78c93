"""The default model: a small residual net that reads a fixed number of characters."""

import itertools
import math
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import layers

# Keras' default of 0.99 needs more steps to settle than a set of 1,000 images has.
BATCHNORM_MOMENTUM = 0.9

FILTERS = (16, 32, 64, 128)  # of the stem's pooling and of each residual block
SAMPLES = 3  # columns read for one output: a character's left, middle and right


def build_model(
    image_shape: tuple[int, int, int],
    outputs: Mapping[str, int],
    *,
    name: str = "resnet10",
    head: str = "shared",
    seed: int,
    filters: tuple[int, ...] = (16, 32, 64, 128),
    bottleneck: int = 256,
    dropout: float = 0.2,
    reader: str = "attention",
    samples: int = 3,
) -> keras.Model:
    net = _Net(seed)
    height, width, _ = image_shape
    image = keras.Input(image_shape, dtype="uint8", name="image")
    poolings = _poolings(height, width, len(outputs), len(filters))
    x = layers.Rescaling(1 / 127.5, -1.0, name="rescale")(image)
    x = layers.Conv2D(filters[0], 3, padding="same", use_bias=False, kernel_initializer=net.he(), name="stem_conv")(x)
    x = layers.MaxPooling2D(poolings[0], padding="same", name="stem_pool")(x)
    x = layers.BatchNormalization(momentum=BATCHNORM_MOMENTUM, name="stem_norm")(x)
    x = layers.ReLU(name="stem_relu")(x)
    for i, f in enumerate(filters[1:]):
        x = net.block(x, f, f"block{i + 1}")
        if math.prod(poolings[i + 1]) > 1:
            x = layers.MaxPooling2D(poolings[i + 1], padding="same", name=f"block{i+1}_pool")(x)
    h, w, c = x.shape[1:]
    x = layers.Conv2D(bottleneck, (h, 1), use_bias=False, name="columns", kernel_initializer=net.he())(x)
    x = layers.Reshape((w, bottleneck), name="columns_reshape")(x)
    x = layers.BatchNormalization(momentum=BATCHNORM_MOMENTUM, name="columns_norm")(x)
    x = layers.ReLU(name="columns_relu")(x)
    n = len(outputs)
    if reader == "attention":
        layer = layers.EinsumDense("bwc,cn->bwn", (w, n * samples), bias_axes="wn", name="attend", dtype="float32",
            kernel_initializer=keras.initializers.RandomNormal(stddev=0.01, seed=next(net.seeds)))
        logits = layer(x)
        layer.bias.assign(_bias(w, n * samples))
        a = layers.Softmax(axis=1, name="attention", dtype="float32")(logits)
        x = layers.Dot((1, 1), name="read")([a, x])
    elif reader == "resample":
        x = layers.Permute((2, 1))(x)
        d = layers.Dense(n * samples, use_bias=False, trainable=False, name="resample")
        x = d(x)
        b = np.exp(_bias(w, n * samples)); d.kernel.assign(b / b.sum(0))
        x = layers.Permute((2, 1))(x)
    x = layers.Reshape((n, samples * bottleneck), name="positions")(x)
    x = layers.Dense(bottleneck, use_bias=False, name="bottleneck", kernel_initializer=net.he())(x)
    x = layers.BatchNormalization(momentum=BATCHNORM_MOMENTUM, name="bottleneck_norm")(x)
    x = layers.ReLU(name="bottleneck_relu")(x)
    x = layers.Dropout(dropout, seed=next(net.seeds), name="dropout")(x)
    classes = list(outputs.values())
    result = {}
    if head == "shared":
        x = layers.Dense(classes[0], dtype="float32", name="classifier", kernel_initializer=net.glorot())(x)
    for i, (o, k) in enumerate(outputs.items()):
        y = layers.Cropping1D((i, n - 1 - i), name=f"{o}_position", dtype="float32" if head == "shared" else None)(x)
        if head == "shared":
            y = layers.Reshape((k,), name=o, dtype="float32")(y)
        else:
            y = layers.Flatten(name=f"{o}_features")(y)
            y = layers.Dense(k, dtype="float32", name=o, kernel_initializer=net.glorot())(y)
        result[o] = y
    return keras.Model(image, result, name=name)


def _bias(w: int, q: int) -> Any:
    col = (np.arange(w) + 0.5) / w
    centre = (np.arange(q) + 0.5) / q
    d = (col[:, None] - centre[None]) * max(q, 1)
    return (-0.5 * (d / 0.7) ** 2).astype(np.float32)


def _poolings(height: int, width: int, n: int, stages: int) -> list[tuple[int, int]]:
    down = max(0, round(math.log2(height / 4)))
    across = max(0, math.floor(math.log2(width / max(3 * n, 8))))
    across = min(across, down + 0)
    return [(2 if i < down else 1, 2 if i < across else 1) for i in range(stages)]


class _Net:
    def __init__(self, seed: int) -> None:
        self.seeds = (int(s) for s in np.random.SeedSequence(seed).generate_state(100))

    def he(self) -> Any:
        return keras.initializers.HeNormal(seed=next(self.seeds))

    def glorot(self) -> Any:
        return keras.initializers.GlorotUniform(seed=next(self.seeds))

    def unit(self, x: Any, filters: int, name: str, relu: bool = True, size: int = 3) -> Any:
        x = layers.Conv2D(filters, size, padding="same", use_bias=False, kernel_initializer=self.he(), name=f"{name}_conv")(x)
        x = layers.BatchNormalization(momentum=BATCHNORM_MOMENTUM, name=f"{name}_norm")(x)
        return layers.ReLU(name=f"{name}_relu")(x) if relu else x

    def block(self, x: Any, filters: int, name: str) -> Any:
        y = self.unit(x, filters, f"{name}_first")
        y = self.unit(y, filters, f"{name}_second", relu=False)
        if x.shape[-1] != filters:
            x = self.unit(x, filters, f"{name}_project", relu=False, size=1)
        y = layers.Add(name=f"{name}_add")([x, y])
        return layers.ReLU(name=f"{name}_relu")(y)
