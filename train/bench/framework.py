"""How batches reach the model and how fast it trains, for each framework that Keras runs on."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import keras

from train.bench.speed import Speed, Stopwatch, timed
from train.input.clock import InputClock
from train.input.numpy_dataset import NumpyDataset
from train.input.pydataset import BatchDataset
from train.input.tf_dataset import as_tf_dataset, reader_failure
from train.records.batches import BatchSource
from train.training.losses import LOOK_STEPS, UnreadLogs
from train.training.meter import EpochMeter

_ENDLESS = 1 << 30  # more epochs than there is time for
_WARM_STEPS = 3  # the first one compiles, and the next may still ask for memory
_GROUPS_AHEAD = 3  # of batches that may be ready when the first is taken, so that they cost nothing


def device() -> str:
    """Names Keras' backend and its device."""
    return f"{keras.backend.backend()}, {', '.join(keras.distribution.list_devices())}"


def time_delivery(source: BatchSource, seconds: float) -> Speed:
    """Times a reader's batches as training gets them, epoch after epoch."""
    _, group_steps = source.group(0)
    if keras.backend.backend() != "tensorflow":
        return timed(_endless(source), source.batch_size, seconds, _GROUPS_AHEAD * group_steps)

    def one(images: Any, labels: Any) -> int:
        return 1

    with reader_failure(source.reader):
        batches = as_tf_dataset(source, epochs=_ENDLESS)
        # Taken inside TensorFlow, as training does: a batch handed to Python costs as much again.
        groups = batches.map(one).batch(group_steps, drop_remainder=True)
        return timed(groups, group_steps * source.batch_size, seconds, _GROUPS_AHEAD)


def time_arrays(source: BatchSource, seconds: float) -> Speed:
    """Times a reader's batches as NumPy arrays, epoch after epoch."""
    _, group_steps = source.group(0)
    batches = NumpyDataset(source, epochs=_ENDLESS)
    return timed(batches, source.batch_size, seconds, _GROUPS_AHEAD * group_steps)


def one_batch(source: BatchSource) -> Any:
    """Returns a source's first batch, again and again, as `fit` takes it."""
    if keras.backend.backend() == "tensorflow":
        return as_tf_dataset(source).take(1).cache().repeat()
    return (batch for batch in itertools.repeat(source.element(source.batch(0, 0))))


def _endless(source: BatchSource) -> Iterator[Any]:
    """Yields the batches of epoch after epoch, as `fit` takes them."""
    dataset = BatchDataset(source)
    while True:
        dataset.on_epoch_begin()
        for step in range(len(dataset)):
            yield dataset[step]


def train_for(
    seconds: float,
    model: keras.Model,
    batch_size: int,
    clock: InputClock,
    batches: Any,
    steps_per_epoch: int | None = None,
) -> tuple[Speed, float]:
    """Trains a model for some time, and one step at least.

    Args:
        seconds: The time, not counting the first few steps.
        model: Compiled.
        batch_size: Images of a step.
        clock: Knows how long the model waits for batches.
        batches: What `fit` takes.
        steps_per_epoch: Of batches that have no end. None: an epoch has all batches.

    Returns:
        The speed, and the share of the time in which the model waited for a batch, in [0, 1].
    """
    pacer = _Pacer(seconds, EpochMeter(clock, batch_size), batch_size)
    model.fit(
        batches,
        epochs=_ENDLESS,
        steps_per_epoch=steps_per_epoch,
        shuffle=False,  # the order is ours
        verbose=0,
        callbacks=UnreadLogs([pacer], add_history=True, model=model),
    )
    assert pacer.speed is not None  # nothing else ends the training
    return pacer.speed, pacer.input_wait


class _Pacer(keras.callbacks.Callback):
    """Ends a training when its time is over."""

    def __init__(self, seconds: float, meter: EpochMeter, batch_size: int) -> None:
        super().__init__()
        self._seconds, self._meter, self._batch_size = seconds, meter, batch_size
        self._watch = Stopwatch()
        self._steps = -_WARM_STEPS
        self.speed: Speed | None = None
        self.input_wait = 0.0

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Starts the watch after the first steps, and looks at it after each later one."""
        self._steps += 1
        is_over = self._steps > 0 and self._watch.seconds >= self._seconds
        if is_over or self._steps <= 0 or self._steps % LOOK_STEPS == 0:
            float((logs or {})["loss"])  # waits for the device, as in training
        if self._steps == 0:
            self._watch = Stopwatch()
            self._meter.start()
        elif is_over:
            self.speed = self._watch.speed(self._steps * self._batch_size)
            self.input_wait = self._meter.input_wait
            self.model.stop_training = True
