"""Trains a small model with an average and compares the average with NumPy's; on any backend.

A script, so that tests can run it in a process of another backend.
"""

from __future__ import annotations

import sys

import keras
import numpy as np

from train.model.loss import SparseCrossentropy
from train.model.recogniser import Recogniser, inference_network, plain

EMA, EPOCHS = 0.6, 5


def network(policy: str) -> keras.Model:
    inputs = keras.Input((6,), name="image")
    x = keras.layers.Dense(5, kernel_initializer=keras.initializers.GlorotUniform(1), dtype=policy)(
        inputs
    )
    x = keras.layers.BatchNormalization(momentum=0.5, dtype=policy)(x)
    y = keras.layers.Dense(3, kernel_initializer=keras.initializers.GlorotUniform(2), name="y0")
    return keras.Model(inputs, {"y0": y(x)})


def train(ema: float | None) -> tuple[list[list[np.ndarray]], keras.Model]:
    """Returns the weights before and after each step, and the model."""
    model = network("float32")
    average = None if ema is None else network("float32")
    model = Recogniser(model.input, model.output, average=average, ema=ema or 0.0)
    model.compile(keras.optimizers.SGD(0.5), loss={"y0": SparseCrossentropy()})
    rng = np.random.default_rng(0)
    images = rng.normal(size=(8, 6)).astype(np.float32)
    labels = {"y0": rng.integers(0, 3, 8).astype(np.int32)}
    own = plain(model).weights

    def weights() -> list[np.ndarray]:
        return [keras.ops.convert_to_numpy(variable) for variable in own]

    steps = [weights()]
    note = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: steps.append(weights()))
    model.fit(images, labels, batch_size=8, epochs=EPOCHS, verbose=0, callbacks=[note])
    return steps, model


def main() -> None:
    steps, model = train(EMA)
    expected = [array.astype(np.float64) for array in steps[0]]
    for step, weights in enumerate(steps[1:]):
        momentum = min(EMA, (1 + step) / (10 + step))
        pairs = zip(expected, weights, strict=True)
        expected = [momentum * old + (1 - momentum) * new for old, new in pairs]
    found = [keras.ops.convert_to_numpy(v) for v in inference_network(model).weights]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    assert any(not np.allclose(a, b) for a, b in zip(found, steps[-1], strict=True))
    plain, _ = train(None)
    for one, other in zip(steps[-1], plain[-1], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)  # but for rounding the same
    print(keras.backend.backend(), len(found))


if __name__ == "__main__":
    sys.exit(main())
