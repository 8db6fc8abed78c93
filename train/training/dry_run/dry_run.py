"""The dry run: a few training steps that show whether everything fits, and a picture."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import keras

from convert.command.byte_sizes import show_bytes
from train.config import TrainConfig
from train.errors import DivergedError, ShardfeedError
from train.hosts.devices import device_lines, sharing
from train.hosts.sharded import predictor
from train.hosts.team import Team
from train.input.clock import InputClock
from train.input.feed import feed
from train.input.tf_dataset import reader_failure
from train.model.recogniser import inference_network, num_parameters
from train.training.dry_run.augmentation_picture import picture_path, write_augmented
from train.training.job import Job
from train.training.meter import memory_bytes
from train.training.old_weights import with_weights

_STEPS = 6  # the first builds the graph, the others tell how long one takes


@dataclass(frozen=True, kw_only=True, slots=True)
class DryRun:
    """What a few steps came to.

    Attributes:
        model: Name of the network.
        weights: Its trainable numbers.
        steps: Steps that were taken.
        first_seconds: What the first of them took.
        step_seconds: What each of the others took; the first's time if there were none.
        loss: Mean over the steps.
        seconds: What all epochs would take at that pace, validation left out.
        memory_bytes: Largest resident memory of the process.
        taken: What was taken of other weights. None: these were random.
        picture: Shows training images beside augmented versions. None: there is none.
        picture_error: Why there is none, though images are augmented.
    """

    model: str
    weights: int
    steps: int
    first_seconds: float
    step_seconds: float
    loss: float
    seconds: float
    memory_bytes: int
    taken: str | None
    picture: str | None
    picture_error: str | None


def dry_run(config: TrainConfig) -> DryRun:
    """Builds a model, trains it for a few steps, and reads the validation split's first batch.

    Leaves a picture of augmented images in the current folder, and writes nothing else.

    Raises:
        ShardfeedError: As a training would.
    """
    job = Job.open(config, team=Team())
    with sharing():
        return _dry_run(job)


def _dry_run(job: Job) -> DryRun:
    config, model = job.config, job.model()
    job, taken = with_weights(job, model)
    steps = min(_STEPS, job.training.num_steps)
    times = _StepTimes()
    with reader_failure(job.training.reader):
        batches = feed(job.fed, epoch=0, start_step=0, clock=InputClock())
        history = model.fit(
            batches, steps_per_epoch=steps, shuffle=False, verbose=0, callbacks=[times]
        )
    loss = float(history.history["loss"][-1])
    if not math.isfinite(loss):
        raise DivergedError(f"the loss became {loss} in the first {steps} steps.")
    if job.validation is not None:
        network = predictor(inference_network(model))
        network.predict_on_batch(job.validation.batch(0, 0)[0])
    first, *others = times.seconds
    step = sum(others) / len(others) if others else first
    picture, picture_error = _draw(job)
    return DryRun(
        model=model.name,
        weights=num_parameters(model),
        steps=steps,
        first_seconds=first,
        step_seconds=step,
        loss=loss,
        seconds=first + step * (config.epochs * job.training.num_steps - 1),
        memory_bytes=memory_bytes(),
        taken=taken,
        picture=picture,
        picture_error=picture_error,
    )


def _draw(job: Job) -> tuple[str | None, str | None]:
    """Draws augmented images; returns the picture's file, and why there is none."""
    if job.training.augment is None:
        return None, None
    path = picture_path(job.config.dataset)
    try:
        write_augmented(path, job.training)
    except ShardfeedError as error:  # no reason to keep the results of the steps back
        return None, str(error)
    return path, None


def dry_run_lines(config: TrainConfig, found: DryRun) -> list[str]:
    """Returns the results of a few steps, to be printed."""
    rate, minutes = config.batch_size / found.step_seconds, found.seconds / 60
    lines = [
        *device_lines(config.images_per_step),
        *([found.taken] if found.taken else []),
        f"{found.model}: {found.weights:,} weights; loss {found.loss:.4f}",
        f"{found.steps} steps: the first took {found.first_seconds:.1f} s, the others "
        f"{found.step_seconds:.3f} s each ({rate:,.0f} images/s); {config.epochs} epochs "
        f"would take about {minutes:,.1f} minutes",
    ]
    memory = f"memory: at most {show_bytes(found.memory_bytes, 'GB', 1)}"
    if found.picture:
        return [*lines, memory, f"{found.picture}: training images beside augmented versions"]
    if found.picture_error:
        lines.append(f"no picture of augmented images: {found.picture_error}")
    return [*lines, f"{memory}; nothing was written"]


class _StepTimes(keras.callbacks.Callback):
    """Notes what each step took."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []
        self._last = 0.0

    def on_train_begin(self, logs: object = None) -> None:
        """Starts the clock."""
        self._last = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: object = None) -> None:
        """Notes the time since the last step."""
        now = time.perf_counter()
        self.seconds.append(now - self._last)
        self._last = now
