"""Writes a run's files for TensorBoard, and decides when."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from train.evaluation.predictions import Evaluation
from train.runs.folder import EVENTS
from train.training.callbacks.board.collected_histograms import Histograms
from train.training.callbacks.board.curves import (
    GRADIENT_NORM,
    Pace,
    comparison,
    raw_curves,
    training_curves,
    validation_curves,
)
from train.training.callbacks.board.norms import GradientNorms
from train.training.callbacks.board.pictures import (
    table_summary,
    training_images,
    worst_predictions,
)
from train.training.session_state import Logs, Session

_CURVE_STEPS = 10  # a point in every curve each so many steps: detail enough, cost unseen


class Board:
    """Writes curves, histograms, pictures and texts, all by the steps of the run.

    The training is the same without it, bit for bit: it only reads. Curves and pictures of a
    resumed run are those of an uninterrupted one. Which epochs have histograms depends on
    the clock; the first of a session and the last of the run always have them.

    `SessionCallback` calls it after the `RunRecorder`, which counts the steps and validates, and
    before the `CheckpointWriter`, which notes how long the files are.

    Args:
        session: What is trained, and where to.
    """

    def __init__(self, session: Session) -> None:
        self._session, job = session, session.job
        self._is_fresh = session.position is None
        self._pace = Pace(session.meter, job.config.batch_size)
        # Without a validation split: images that are trained on, but as they are.
        self._histograms = Histograms(job.validation or replace(job.training, augment=None))

    def on_train_begin(self) -> None:
        """Writes what is known before the first step."""
        if self._is_fresh:
            self._is_fresh = False
            self._add(self._opening(), 0)

    def on_epoch_begin(self) -> None:
        """Begins to measure."""
        self._pace.start()
        self._norms = GradientNorms(self._session.model)

    def on_train_batch_end(self, logs: Logs) -> None:
        """Adds points to the curves of training, each ten steps and at an epoch's last."""
        self._norms.on_step()
        step = self._session.meter.total_steps  # not the optimizer's: JAX would have to fetch it
        if step % _CURVE_STEPS and self._session.meter.steps < self._session.job.training.num_steps:
            return
        values = training_curves(logs, self._session.learning_rate(step), self._norms.read())
        self._add_scalars({**values, **self._pace.take()}, step)

    def on_epoch_end(self, evaluation: Evaluation | None) -> None:
        """Adds the validation, if there is one, and histograms if it is time for them."""
        session = self._session
        step, norm = session.meter.total_steps, self._norms.on_epoch_end()
        if norm is not None:
            self._add_scalars({GRADIENT_NORM: norm}, step)
        source = session.job.validation
        if evaluation is not None and source is not None:
            values = validation_curves(evaluation, source.output_names)
            self._add_scalars({**values, **raw_curves(session.journal.history[-1])}, step)
            self._add(worst_predictions(evaluation, source, session.job.info), step)
        is_last = session.journal.is_complete(session.job.config)
        self._add(self._histograms.take(session.model, self._norms, is_last), step)

    def _opening(self) -> Iterator[Any]:
        """Yields the settings, the layout of the comparisons, and the first images."""
        yield table_summary("run/settings", ("option", "value"), self._session.job.options.items())
        yield comparison()
        yield from training_images(self._session.job.training.whole, self._session.job.info)

    def _add_scalars(self, values: Mapping[str, float], step: int) -> None:
        with self._session.run.writing(EVENTS):
            self._session.events.add_scalars(values, step)

    def _add(self, messages: Iterable[Any], step: int) -> None:
        for message in messages:
            with self._session.run.writing(EVENTS):
                self._session.events.add(message, step)
