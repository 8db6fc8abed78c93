"""Writes a run's files for TensorBoard, and decides when."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import keras

from train.evaluation.predictions import Evaluation
from train.runs.events import EventFile
from train.runs.folder import EVENTS, RunFolder
from train.runs.history import Journal
from train.training.board.curves import (
    GRADIENT_NORM,
    Pace,
    comparison,
    raw_curves,
    training_curves,
    validation_curves,
)
from train.training.board.histograms import Histograms
from train.training.board.norms import GradientNorms
from train.training.board.pictures import table_summary, training_images, worst_predictions
from train.training.job import Job
from train.training.meter import EpochMeter

_CURVE_STEPS = 10  # a point in every curve each so many steps: detail enough, cost unseen

Logs = dict[str, float]


class Board(keras.callbacks.Callback):
    """Writes curves, histograms, pictures and texts, all by the steps of the run.

    The training is the same without it, bit for bit: it only reads. Curves and pictures of a
    resumed run are those of an uninterrupted one. Which epochs have histograms depends on
    the clock; the first of a session and the last of the run always have them.

    `SessionCallback` calls it after the `RunRecorder`, which counts the steps and validates, and
    before the `CheckpointWriter`, which notes how long the files are.

    Args:
        job: What is trained.
        run: Where to.
        events: The file.
        journal: Knows whether an epoch was the last.
        meter: Knows the step.
        learning_rate: Returns that of a step.
        is_fresh: Whether the run begins here.
    """

    def __init__(
        self,
        job: Job,
        run: RunFolder,
        events: EventFile,
        journal: Journal,
        meter: EpochMeter,
        learning_rate: Callable[[int], Any],
        *,
        is_fresh: bool,
    ) -> None:
        super().__init__()
        self._job, self._run, self._events = job, run, events
        self._journal, self._meter, self._learning_rate = journal, meter, learning_rate
        self._is_fresh = is_fresh
        self._pace = Pace(meter, job.config.batch_size)
        # Without a validation split: images that are trained on, but as they are.
        self._histograms = Histograms(job.validation or replace(job.training, augment=None))
        self._evaluation: Evaluation | None = None

    def keep(self, evaluation: Evaluation) -> None:
        """Takes the validation of the epoch that ends."""
        self._evaluation = evaluation

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Writes what is known before the first step."""
        if self._is_fresh:
            self._is_fresh = False
            self._add(self._opening(), 0)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Begins to measure."""
        self._pace.start()
        self._norms = GradientNorms(self.model)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Adds points to the curves of training, each ten steps and at an epoch's last."""
        norm = self._norms.on_step()
        step = self._meter.total_steps  # not the optimizer's: JAX would have to fetch it
        if step % _CURVE_STEPS and self._meter.steps < self._job.training.num_steps:
            return
        values = training_curves(logs or {}, float(self._learning_rate(step)), norm)
        self._add_scalars({**values, **self._pace.take()}, step)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Adds the validation, and histograms if it is time for them."""
        step, norm = self._meter.total_steps, self._norms.on_epoch_end()
        if norm is not None:
            self._add_scalars({GRADIENT_NORM: norm}, step)
        evaluation, self._evaluation = self._evaluation, None
        source = self._job.validation
        if evaluation is not None and source is not None:
            values = validation_curves(evaluation, source.output_names)
            self._add_scalars({**values, **raw_curves(self._journal.history[-1])}, step)
            self._add(worst_predictions(evaluation, source, self._job.info), step)
        is_last = self._journal.is_complete(self._job.config)
        self._add(self._histograms.take(self.model, self._norms, is_last), step)

    def _opening(self) -> Iterator[Any]:
        """Yields the settings, the layout of the comparisons, and the first images."""
        yield table_summary("run/settings", ("option", "value"), self._job.options.items())
        yield comparison()
        yield from training_images(self._job.training, self._job.info)

    def _add_scalars(self, values: Mapping[str, float], step: int) -> None:
        with self._run.writing(EVENTS):
            self._events.add_scalars(values, step)

    def _add(self, messages: Iterable[Any], step: int) -> None:
        for message in messages:
            with self._run.writing(EVENTS):
                self._events.add(message, step)
