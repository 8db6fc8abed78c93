"""Timing a model while it trains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras

from train.bench.speed import Speed, Stopwatch
from train.input.clock import InputClock
from train.training.meter import EpochMeter

_WARM_STEPS = 3  # the first one compiles, and the next may still ask for memory
_ENDLESS = 1 << 30  # more epochs than there is time for


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """What was measured of a training.

    Attributes:
        speed: Images that went by.
        input_wait: Share of the time in which the model waited for a batch. In [0, 1].
    """

    speed: Speed
    input_wait: float


def train_for(
    seconds: float,
    model: keras.Model,
    batches: Any,
    batch_size: int,
    clock: InputClock,
    steps_per_epoch: int | None = None,
) -> Pace:
    """Trains a model for some time, and one step at least.

    Args:
        seconds: The time, not counting the first few steps.
        model: Compiled.
        batches: What `fit` takes.
        batch_size: Images of a step.
        clock: Knows how long the model waits for batches.
        steps_per_epoch: Of batches that have no end. None: an epoch has all batches.
    """
    pacer = _Pacer(seconds, EpochMeter(clock, batch_size), batch_size)
    model.fit(
        batches,
        epochs=_ENDLESS,
        steps_per_epoch=steps_per_epoch,
        shuffle=False,  # the order is ours
        verbose=0,
        callbacks=[pacer],
    )
    assert pacer.pace is not None  # nothing else ends the training
    return pacer.pace


class _Pacer(keras.callbacks.Callback):
    """Ends a training when its time is over."""

    def __init__(self, seconds: float, meter: EpochMeter, batch_size: int) -> None:
        super().__init__()
        self._seconds, self._meter, self._batch_size = seconds, meter, batch_size
        self._watch = Stopwatch()
        self._steps = -_WARM_STEPS
        self.pace: Pace | None = None

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Starts the watch after the first steps, and looks at it after each later one."""
        float((logs or {})["loss"])  # waits for the accelerator, as in training
        self._steps += 1
        if self._steps == 0:
            self._watch = Stopwatch()
            self._meter.start()
        elif self._steps > 0 and self._watch.seconds >= self._seconds:
            speed = self._watch.speed(self._steps * self._batch_size)
            self.pace = Pace(speed=speed, input_wait=self._meter.input_wait)
            self.model.stop_training = True
