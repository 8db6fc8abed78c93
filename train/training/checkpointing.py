"""Writes checkpoints in time, and ends a training early: on signals, limits, targets, patience."""

from __future__ import annotations

import signal
import time
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import keras

from train.config import TrainConfig
from train.errors import StoppedError
from train.model.variables import read_state
from train.runs.checkpoint import Checkpoints, Position
from train.runs.events import EventFile
from train.runs.folder import CHECKPOINTS, EVENTS, RunFolder
from train.runs.history import Journal, Reader
from train.training.meter import EpochMeter
from train.training.recorder import Logs
from train.training.stop_signals import NAMES, StopSignals


class CheckpointKeeper(keras.callbacks.Callback):
    """Writes checkpoints: now and then, at each epoch's end, and when the run shall stop.

    The last of the callbacks: what the others do after a step or an epoch is in the checkpoint.

    Args:
        run: Where to.
        config: How often, how many, and after how many epochs without a better one to stop.
        options: What a resume must have again.
        journal: What the run has come to.
        meter: Knows the step.
        events: TensorBoard's curves.
        readers: Of all splits; they know of bad records.
        stop: Knows of signals.
        resumed: Where an earlier session stood. None: there was none.
    """

    def __init__(
        self,
        run: RunFolder,
        config: TrainConfig,
        options: Mapping[str, Any],
        journal: Journal,
        meter: EpochMeter,
        events: EventFile,
        readers: Sequence[Reader],
        stop: StopSignals,
        resumed: Position | None,
    ) -> None:
        super().__init__()
        self._run, self._config, self._options = run, config, options
        self._journal, self._meter, self._events = journal, meter, events
        self._readers, self._stop = readers, stop
        self._checkpoints = Checkpoints(run.file(CHECKPOINTS), config.keep_checkpoints)
        self._opened = self._written = time.monotonic()
        self._started = self._opened - (resumed.seconds if resumed else 0.0)

    @property
    def seconds(self) -> float:
        """What the run has taken; what passed between a stop and a resume is not in it."""
        return time.monotonic() - self._started

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Writes a checkpoint if it is time.

        Raises:
            StoppedError: A signal came.
        """
        self.stop_if_asked()
        if time.monotonic() - self._written >= 60 * self._config.checkpoint_minutes:
            self._write(len(self._journal.history), self._meter.steps)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Writes a checkpoint, and ends the training if it gets no better.

        Raises:
            StoppedError: A signal came.
        """
        self._meter.start()
        self._write(epoch + 1, 0)
        if self._journal.is_complete(self._config):
            self.model.stop_training = True
        else:
            self.stop_if_asked()

    def stop_if_asked(self) -> None:
        """Called where training may stop.

        Raises:
            StoppedError: A signal came, or the time is over; a checkpoint is written.
        """
        number = self._stop.received
        if number is not None:
            self._stop_by(NAMES[number], number)
        minutes = self._config.max_minutes
        if minutes is not None and time.monotonic() - self._opened >= 60 * minutes:
            self._stop_by(f"--max-minutes {minutes:g}")

    def _stop_by(self, what: str, number: signal.Signals | None = None) -> NoReturn:
        epoch, step = len(self._journal.history), self._meter.steps
        self._write(epoch, step)
        raise StoppedError(
            f"stopped by {what} in epoch {epoch + 1} after step {step}; a checkpoint is "
            f"written. Go on with `train resume {self._run.address}`.",
            number,
        )

    def _write(self, epoch: int, step: int) -> None:
        with self._run.writing(EVENTS):
            self._events.flush()
            sizes = self._events.sizes()
        self._journal.note_bad_records(self._readers)
        position = Position(
            epoch=epoch,
            step=step,
            options=dict(self._options),
            history=self._journal.history,
            bad_records=self._journal.bad_records,
            seconds=self.seconds,
            epoch_seconds=self._meter.seconds if step else 0.0,
            epoch_waited_seconds=self._meter.waited_seconds if step else 0.0,
            events=sizes,
        )
        with self._run.writing(CHECKPOINTS):
            self._checkpoints.write(position, read_state(self.model), self._run.models())
        self._run.upload()
        self._written = time.monotonic()
