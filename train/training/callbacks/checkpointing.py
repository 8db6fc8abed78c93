"""Writes checkpoints in time, and ends a training early: on signals, limits, targets, patience."""

from __future__ import annotations

import signal
import time

from train.errors import StoppedError
from train.hosts.team import Stop
from train.model.variables import read_state
from train.runs.checkpoints.checkpoint import Position
from train.runs.checkpoints.store import Checkpoints
from train.runs.folder import CHECKPOINTS, EVENTS
from train.training.job import unchangeable
from train.training.session_state import Session
from train.training.stop_signals import NAMES, StopSignals


class CheckpointWriter:
    """Writes checkpoints: now and then, at each epoch's end, and when the run shall stop.

    Args:
        session: What is trained, and where to.
        stop: Knows of signals.
    """

    def __init__(self, session: Session, stop: StopSignals) -> None:
        self._session, self._stop = session, stop
        keep = session.job.config.keep_checkpoints
        self._checkpoints = Checkpoints(session.run.file(CHECKPOINTS), keep)
        self._options = unchangeable(session.job.options)
        self._opened = self._written = time.monotonic()
        self._started = self._opened - (session.position.seconds if session.position else 0.0)

    @property
    def seconds(self) -> float:
        """What the run has taken; what passed between a stop and a resume is not in it."""
        return time.monotonic() - self._started

    def on_train_begin(self) -> None:
        """Writes a checkpoint of the first weights, so that a resume needs no other run."""
        self._write(0, 0)

    def on_train_batch_end(self) -> None:
        """Writes a checkpoint if it is time.

        Raises:
            StoppedError: A signal came.
        """
        self.stop_if_asked()
        seconds = 60 * self._session.job.config.checkpoint_minutes
        if time.monotonic() - self._written >= seconds and self._session.losses.are_finite():
            self._write(len(self._session.journal.history), self._session.meter.steps)

    def on_epoch_end(self, epoch: int) -> None:
        """Writes a checkpoint, and ends the training if it gets no better.

        Raises:
            StoppedError: A signal came.
        """
        self._session.meter.start()
        self._write(epoch + 1, 0)
        if self._session.journal.is_complete(self._session.job.config):
            self._session.model.stop_training = True
        else:
            self.stop_if_asked()

    def stop_if_asked(self) -> None:
        """Called where training may stop.

        Raises:
            StoppedError: A signal came, or the time is over; a checkpoint is written.
        """
        if not self._session.team.is_first:
            self._session.note_bad_records()
        stop = self._session.team.stop(self._wish())
        if stop is not None:
            self._stop_by(stop)

    def _wish(self) -> Stop | None:
        """Returns why this process wants to stop."""
        number = self._stop.received
        if number is not None:
            return Stop(what=NAMES[number], number=number)
        minutes = self._session.job.config.max_minutes
        if minutes is not None and time.monotonic() - self._opened >= 60 * minutes:
            return Stop(what=f"--max-minutes {minutes:g}")
        return None

    def _stop_by(self, stop: Stop) -> None:
        if not self._session.losses.are_finite():
            return  # the next look at the loss ends the run, in a few steps; nothing is kept of it
        epoch, step = len(self._session.journal.history), self._session.meter.steps
        self._write(epoch, step)
        again = f"train resume {self._session.run.address} {self._session.team.flags}".rstrip()
        raise StoppedError(
            f"stopped by {stop.what} in epoch {epoch + 1} after step {step}; a checkpoint is "
            f"written. Go on with `{again}`.",
            None if stop.number is None else signal.Signals(stop.number),
        )

    def _write(self, epoch: int, step: int) -> None:
        if self._session.team.is_first:
            with self._session.team.busy():
                self._write_all(epoch, step)

    def _write_all(self, epoch: int, step: int) -> None:
        run, journal, meter = self._session.run, self._session.journal, self._session.meter
        with run.writing(EVENTS):
            self._session.events.flush()
            sizes = self._session.events.sizes()
        self._session.note_bad_records()
        position = Position(
            epoch=epoch,
            step=step,
            options=self._options,
            history=journal.history,
            bad_records=journal.bad_records,
            seconds=self.seconds,
            epoch_seconds=meter.seconds if step else 0.0,
            epoch_waited_seconds=meter.waited_seconds if step else 0.0,
            events=sizes,
        )
        with run.writing(CHECKPOINTS):
            self._checkpoints.write(position, read_state(self._session.model), run.models())
        run.upload()
        self._written = time.monotonic()
