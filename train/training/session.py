"""One session of training: from the start or a checkpoint, to the end or a stop."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Sequence

import keras

from train.errors import FormatError, ReplacedError, TryAgainError
from train.evaluation.predictions import Evaluation
from train.hosts.team import Arrays, Team
from train.input.clock import InputClock
from train.input.feed import feed
from train.input.tf_dataset import reader_failure
from train.model.learning_rate import learning_rates
from train.model.variables import METRICS, WEIGHTS, write_state
from train.records.reading.reader import RecordReader
from train.runs.checkpoints.checkpoint import Checkpoint
from train.runs.events import EventFile
from train.runs.folder import EVENTS, RunFolder
from train.runs.history import Journal
from train.training.callbacks.board.writer import Board
from train.training.callbacks.cache_line import CacheLine
from train.training.callbacks.chance import chance_line
from train.training.callbacks.checkpointing import CheckpointWriter
from train.training.callbacks.progress import ProgressLine
from train.training.callbacks.recorder import RunRecorder
from train.training.job import Job
from train.training.losses import UnreadLogs
from train.training.meter import EpochMeter
from train.training.result import TrainResult, result_of
from train.training.session_state import Logs, Session
from train.training.stop_signals import StopSignals


def train_session(
    job: Job,
    model: keras.Model,
    run: RunFolder,
    checkpoint: Checkpoint | None,
    arrays: Arrays,
    say: Callable[[str], None],
    team: Team,
) -> tuple[TrainResult, Evaluation | None]:
    """Trains until nothing is left to do.

    Args:
        job: What is trained.
        model: Its model, with fresh weights.
        run: Where to; its files are as they were at the checkpoint.
        checkpoint: Where to begin. None: at the start.
        arrays: The variables' values there; at the start none.
        say: Prints a line that stays.
        team: Who trains; all call this alike, and rank 0 alone writes.

    Returns:
        The result, and what the best weights read on validation, if this session trained them.

    Raises:
        StoppedError: A signal came; a checkpoint is written.
        TryAgainError: The disk is full or damaged, or the run cannot be uploaded.
        CheckpointError: The checkpoint is of another model.
        DivergedError: The loss became infinite or not a number.
        RecordError: A record is damaged.
    """
    if checkpoint:
        write_state(model, arrays, WEIGHTS)
    events = _events(run, team)
    position = checkpoint.position if checkpoint else None
    session = Session(
        job=job,
        model=model,
        run=run,
        position=position,
        journal=position.journal if position else Journal(),
        learning_rate=learning_rates(job.config, job.training.num_steps),
        meter=EpochMeter(InputClock(), job.config.batch_size),
        events=events,
        say=say,
        team=team,
    )
    with reader_failure(job.training.reader), events, StopSignals() as stop:
        parts = SessionCallback(session, arrays, stop)
        with contextlib.closing(parts.progress):
            _fit(session, parts)
        return result_of(
            run.address, session.journal, parts.checkpoints.seconds, parts.cache.totals()
        ), session.best_evaluation


def _events(run: RunFolder, team: Team) -> EventFile:
    """Opens a new file of the run, or where rank 0 has the run one that is gone when closed."""
    if team.is_first:
        with run.writing(EVENTS):
            return EventFile(run.file(EVENTS))
    with tempfile.TemporaryDirectory(prefix="shardfeed-") as folder:
        return EventFile(folder)


class SessionCallback(keras.callbacks.Callback):
    """Calls the parts of a session, in the order in which each needs what those before it did.

    The recorder counts the step and validates; board, progress and cache tell of it; a checkpoint
    holds what all of them have done.

    Args:
        session: What they share.
        arrays: The variables' values where an earlier session stood.
        stop: Knows of signals.
    """

    def __init__(self, session: Session, arrays: Arrays, stop: StopSignals) -> None:
        super().__init__()
        self._session, self._arrays = session, arrays
        self._resumed_at = session.position
        self.checkpoints = CheckpointWriter(session, stop)
        self._board = Board(session)
        self._recorder = RunRecorder(session, self.checkpoints.stop_if_asked)
        self.progress = ProgressLine(session)
        self.cache = CacheLine(session)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Writes what is known before the first step."""
        if self._session.team.is_first:
            self._board.on_train_begin()
            self.cache.on_train_begin()
        if self._resumed_at is None and self._session.job.config.weights is not None:
            self.checkpoints.on_train_begin()

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Begins to measure; the first epoch goes on where an earlier session stood."""
        position, self._resumed_at = self._resumed_at, None
        before = epoch * self._session.job.training.num_steps
        if position is None or not position.step:
            self._session.meter.start(before)
        else:  # `fit` has just cleared the metrics' totals
            write_state(self._session.model, self._arrays, METRICS)
            self._session.meter.start(
                before, position.step, position.epoch_seconds, position.epoch_waited_seconds
            )
        if self._session.team.is_first:
            self._board.on_epoch_begin()
            self.progress.on_epoch_begin(epoch)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Counts the step, tells of it, and writes a checkpoint if it is time."""
        self._recorder.on_train_batch_end(batch, logs)
        if self._session.team.is_first:
            self._board.on_train_batch_end(logs or {})
            self.progress.on_train_batch_end(logs or {})
        self.checkpoints.on_train_batch_end()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Validates, tells of it, and writes a checkpoint."""
        evaluation = self._recorder.on_epoch_end(epoch, logs or {})
        if self._session.team.is_first:
            with self._session.team.busy():
                self._tell(evaluation, epoch + 1)
        self.checkpoints.on_epoch_end(epoch)

    def _tell(self, evaluation: Evaluation | None, epochs: int) -> None:
        """Tells of the last of this many epochs."""
        self._board.on_epoch_end(evaluation)
        self.progress.on_epoch_end()
        self._warn_of_chance(evaluation, epochs)
        self.cache.on_epoch_end()

    def _warn_of_chance(self, evaluation: Evaluation | None, epochs: int) -> None:
        """Says what to look at if this many epochs taught nothing."""
        job = self._session.job
        if evaluation is None:
            return
        steps = job.training.num_steps
        if line := chance_line(evaluation, job.info, job.config, epochs, steps):
            self._session.say(line)


def _fit(session: Session, callback: SessionCallback) -> None:
    """Goes through the epochs that are left."""
    model, position, training = session.model, session.position, session.job.training
    epoch, step = len(session.journal.history), position.step if position else 0
    model.stop_training = False
    if step == training.num_steps:  # the epoch's steps are done, its validation is not
        ending = keras.callbacks.CallbackList([callback], model=model)
        ending.on_epoch_begin(epoch)
        ending.on_epoch_end(epoch, model.get_metrics_result())
        epoch += 1
    elif step:  # by itself: Keras would take this epoch's number of steps for that of all
        _fit_epochs(session, epoch, epoch + 1, step, callback)
        epoch += 1
    if epoch < session.job.config.epochs and not model.stop_training:
        _fit_epochs(session, epoch, session.job.config.epochs, 0, callback)


def _fit_epochs(
    session: Session, start: int, stop: int, start_step: int, callback: SessionCallback
) -> None:
    """Trains the epochs [start, stop), the first of them from a step on."""
    training, clock = session.job.training, session.meter.clock
    session.model.fit(
        feed(session.job.fed, epoch=start, start_step=start_step, clock=clock),
        initial_epoch=start,
        epochs=stop,
        # Where the end of the data would be a surprise, TensorFlow begins one step too many: it
        # counts the step and draws dropout's next seed before it learns that there is no batch.
        steps_per_epoch=training.num_steps - start_step if start_step else None,
        shuffle=False,  # the order is ours
        verbose=0,
        callbacks=UnreadLogs([callback], add_history=True, model=session.model),
    )


@contextlib.contextmanager
def resumable(readers: Sequence[RecordReader], run: RunFolder) -> Iterator[None]:
    """Adds to a reader's passing failure how the run is resumed."""
    try:
        yield
    except TryAgainError as error:
        failed = next((reader for reader in readers if reader.failure is not None), None)
        if failed is None:
            raise
        if isinstance(error, ReplacedError):  # nothing passes: the run is of the other dataset
            path = ", ".join({file.folder.path: None for file in failed.files})
            raise FormatError(
                f"{path}: was replaced by another dataset while it was read. "
                "The run stands at its last checkpoint: restore the dataset, then go on with "
                f"`train resume {run.address}`."
            ) from error
        raise TryAgainError(
            f"{error} The run stands at its last checkpoint: go on with "
            f"`train resume {run.address}`."
        ) from error
