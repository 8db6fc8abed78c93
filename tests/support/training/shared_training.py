"""Trains a small model on several devices and on one of them, and predicts by it; on JAX.

A script, so that tests can run it in a process that has several devices.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import keras
import numpy as np

from train.evaluation.evaluate import evaluate_source
from train.hosts.devices import on_one_device, sharing
from train.hosts.sharded import LocalNetwork, evaluate_shared, predictor
from train.hosts.team import Team
from train.model.loss import SparseCrossentropy
from train.model.recogniser import Recogniser, inference_network
from train.runs.environment import num_devices

STEPS, BATCH, CLASSES = 6, 16, 5


@dataclass
class Source:
    """Batches of equal size, and a short last one."""

    num_steps: int = 7
    batch_size: int = BATCH
    output_names: tuple[str, ...] = ("y0",)

    def batch(self, epoch, step):
        rng = np.random.default_rng(step)
        count = BATCH if step < self.num_steps - 1 else 5
        images = rng.integers(0, 256, (count, 6), np.uint8)
        return [images, rng.integers(0, CLASSES, count).astype(np.int32)]


def trained() -> keras.Model:
    network, average = network_of(), network_of()
    model = Recogniser(network.input, network.output, average=average, ema=0.9)
    model.compile(keras.optimizers.SGD(0.1), loss={"y0": SparseCrossentropy()})
    source = Source(num_steps=STEPS + 1)
    batches = [source.batch(0, step) for step in range(STEPS)]
    images, labels = (np.concatenate(arrays) for arrays in zip(*batches, strict=True))
    model.fit(images, {"y0": labels}, batch_size=BATCH, epochs=1, shuffle=False, verbose=0)
    return model


def network_of() -> keras.Model:
    inputs = keras.Input((6,), name="image")
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.Dense(8, kernel_initializer=keras.initializers.GlorotUniform(1))(x)
    x = keras.layers.BatchNormalization(momentum=0.5)(x)
    x = keras.layers.Dropout(0.5, seed=3)(x)
    y = keras.layers.Dense(CLASSES, kernel_initializer=keras.initializers.GlorotUniform(2))
    return keras.Model(inputs, {"y0": y(x)})


def arrays(model: keras.Model) -> list[np.ndarray]:
    return [np.asarray(keras.ops.convert_to_numpy(weight)) for weight in model.weights]


def main() -> None:
    with sharing():
        shared, again = trained(), trained()
        network = inference_network(shared)
        inference_network(again)  # brings its average up to date
        judged = evaluate_shared(predictor(network), Source(), [None], lambda: None, Team())
        assert isinstance(predictor(network), LocalNetwork)
    for one, other in zip(arrays(shared), arrays(again), strict=True):
        assert one.tobytes() == other.tobytes()  # repeating gives equal bits
    with on_one_device():
        alone = trained()
        copy = inference_network(alone)
        copy.set_weights(network.get_weights())
        expected = evaluate_source(copy, Source(), [None])
    worst = max(np.abs(a - b).max() for a, b in zip(arrays(shared), arrays(alone), strict=True))
    assert worst < STEPS * 1e-6, worst
    for name in ("labels", "predictions", "confidences", "ranks", "losses"):
        assert getattr(judged, name).tobytes() == getattr(expected, name).tobytes(), name
    print(num_devices(), len(judged.losses))


if __name__ == "__main__":
    sys.exit(main())
