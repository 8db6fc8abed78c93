"""A process of `step_cost.py`: trains an epoch whenever it is told, and tells when each step ended.

    python -m benchmarks.stepper bare|ours|augmented DATASET RUN [FLAGS OF TRAIN]

Each line on stdin asks for an epoch, and is answered by a line of JSON on stdout. It is trained by
one call of `fit`, which waits before each epoch.
"""

from __future__ import annotations

import argparse
import inspect
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"  # before TensorFlow is loaded
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as the command does

import keras
import numpy as np

from benchmarks.step_cost import AUGMENTED, BARE
from train import load_numpy
from train.cli.options import add_options, given_options
from train.config import TrainConfig
from train.training.job import Job
from train.training.start import train_model

EPOCHS = 10_000  # more than anyone asks for: the process ends when stdin does
Moment = tuple[float, float]
"""Wall clock and CPU time of all threads, in seconds."""


class Stopwatch:
    """Waits before each epoch, and answers after it."""

    def __init__(self) -> None:
        self._begun: Moment = (0.0, 0.0)
        self._steps: list[Moment] = []

    def callback(self) -> keras.callbacks.Callback:
        """Returns the callback that times the steps."""
        callback = keras.callbacks.LambdaCallback(
            on_epoch_begin=lambda epoch, logs: self._begin(),
            on_epoch_end=lambda epoch, logs: self._end(),
            on_train_batch_end=lambda batch, logs: self._steps.append(now()),
        )
        # Else it would take from a bare `fit` that it goes on while callbacks are called.
        callback.async_safe = True
        return callback

    def _begin(self) -> None:
        if not sys.stdin.readline():
            os._exit(0)  # amid `fit`: nothing is left to be saved
        self._steps, self._begun = [], now()

    def _end(self) -> None:
        answer = {"begun": self._begun, "steps": self._steps, "ended": now()}
        print(json.dumps(answer), flush=True)


def now() -> Moment:
    """Returns the time."""
    return time.perf_counter(), time.process_time()


def train_bare(config: TrainConfig, watch: keras.callbacks.Callback) -> None:
    """`fit` of the network alone, as Keras users write it, on arrays in memory."""
    job = Job.open(config)
    model = job.model()
    network = keras.Model(model.input, model.output)
    optimizer = keras.optimizers.AdamW.from_config(known_options(model.optimizer.get_config()))
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    losses = {
        name: keras.losses.SparseCategoricalCrossentropy(from_logits=True) for name in model.output
    }
    network.compile(optimizer=optimizer, loss=losses)
    # Ours leaves out the last batch if it is short.
    batches = list(
        load_numpy(config.dataset, "train", config.batch_size, shuffle=False, drop_remainder=True)
    )
    images = np.concatenate([images for images, _ in batches])
    labels = {name: np.concatenate([some[name] for _, some in batches]) for name in model.output}
    del model, batches
    network.fit(
        images,
        labels,
        batch_size=config.batch_size,
        epochs=EPOCHS,
        verbose=0,
        callbacks=[watch],
    )


def known_options(options: dict[str, Any]) -> dict[str, Any]:
    """Returns those of an optimizer's options that Keras' own AdamW has too."""
    known = inspect.signature(keras.optimizers.AdamW.__init__).parameters
    return {name: value for name, value in options.items() if name in known and name != "name"}


def train_ours(config: TrainConfig, watch: keras.callbacks.Callback) -> None:
    """What `train` does, with all its callbacks."""
    fit: Callable[..., Any] = keras.Model.fit

    def timed_fit(
        model: keras.Model,
        *data: Any,
        callbacks: keras.callbacks.CallbackList,
        **options: Any,
    ) -> Any:
        callbacks.append(watch)
        return fit(model, *data, callbacks=callbacks, **options)

    keras.Model.fit = timed_fit
    train_model(config)


def main() -> None:
    kind, dataset, run = sys.argv[1:4]
    parser = argparse.ArgumentParser()
    add_options(parser)
    given = given_options(parser.parse_args(sys.argv[4:]))
    options = {**given, "epochs": EPOCHS, "augment": "default" if kind == AUGMENTED else "none"}
    config = TrainConfig(dataset=dataset, run=run, **options)
    watch = Stopwatch().callback()
    (train_bare if kind == BARE else train_ours)(config, watch)


if __name__ == "__main__":
    main()
