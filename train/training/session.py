"""One session of training: from the start or a checkpoint, to the end or a stop."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import keras

from train.evaluation.evaluate import evaluate_source
from train.evaluation.predictions import Evaluation
from train.input.clock import InputClock
from train.input.feed import feed
from train.input.tf_dataset import reader_failure
from train.model.build import schedule
from train.model.recogniser import inference_network
from train.model.variables import METRICS, WEIGHTS, write_state
from train.records.texts import blanks_of
from train.report.write import BestEvaluation, write_report
from train.runs.checkpoint import Arrays, Checkpoint, Position
from train.runs.events import EventFile
from train.runs.folder import EVENTS, RunFolder
from train.runs.history import Journal
from train.training.board.writer import Board
from train.training.cache_line import Supply, told_how_to_go_on
from train.training.checkpointing import CheckpointKeeper
from train.training.job import Job, unchangeable
from train.training.meter import EpochMeter
from train.training.progress import ProgressLine
from train.training.recorder import Logs, RunRecorder
from train.training.result import TrainResult, result_of
from train.training.stop_signals import StopSignals


def train_session(
    job: Job,
    model: keras.Model,
    run: RunFolder,
    checkpoint: Checkpoint | None,
    arrays: Arrays,
    say: Callable[[str], None],
) -> TrainResult:
    """Trains until nothing is left to do.

    Args:
        job: What is trained.
        model: Its model, with fresh weights.
        run: Where to; its files are as they were at the checkpoint.
        checkpoint: Where to begin. None: at the start.
        arrays: The variables' values there; at the start none.
        say: Prints a line that stays.

    Raises:
        StoppedError: A signal came; a checkpoint is written.
        TryAgainError: The disk is full or damaged, or the run cannot be uploaded.
        CheckpointError: The checkpoint is of another model.
        DivergedError: The loss became infinite or not a number.
        RecordError: A record is damaged.
    """
    config, position = job.config, checkpoint.position if checkpoint else None
    journal = journal_of(position)
    num_steps = job.training.num_steps
    rate = schedule(config, num_steps)
    clock = InputClock()
    meter = EpochMeter(clock, config.batch_size)
    sources = [source for source in (job.training, job.validation) if source is not None]
    readers = [source.reader for source in sources]
    best = BestEvaluation()
    with run.writing(EVENTS):
        events = EventFile(run.file(EVENTS))
    told = told_how_to_go_on(readers, run)
    with told, reader_failure(job.training.reader), events, StopSignals() as stop:
        keeper = CheckpointKeeper(
            run, config, unchangeable(job.options), journal, meter, events, readers, stop, position
        )
        board = Board(job, run, events, journal, meter, rate, is_fresh=checkpoint is None)
        validate = _validator(job, keeper.stop_if_asked, board.keep, best.keep)
        if checkpoint:
            write_state(model, arrays, WEIGHTS)
        progress = ProgressLine(config.epochs, num_steps, meter, journal, rate, say)
        supply = Supply(readers, run, events, meter, say)
        callbacks = [
            EpochStart(position, arrays, meter, num_steps),
            RunRecorder(run, journal, meter, validate, rate, job.training, readers, say),
            board,
            progress,
            supply,
            keeper,
        ]
        with contextlib.closing(progress):
            _fit(
                job, model, len(journal.history), position.step if position else 0, clock, callbacks
            )
    evaluation = best.of(journal.best)
    write_report(run, model, journal.best, job.training.reader, job.validation, evaluation)
    run.upload()
    return result_of(run.address, journal, keeper.seconds, supply.totals())


def journal_of(position: Position | None) -> Journal:
    """Returns the epochs of a run up to a checkpoint, none at the start."""
    if position is None:
        return Journal()
    return Journal(list(position.history), list(position.bad_records))


class EpochStart(keras.callbacks.Callback):
    """Begins each epoch's measurement; the first goes on where a checkpoint was written.

    Args:
        position: Where the run stood. None: at the start.
        arrays: The variables' values there.
        meter: Measures the training.
        num_steps: Steps of an epoch.
    """

    def __init__(
        self, position: Position | None, arrays: Arrays, meter: EpochMeter, num_steps: int
    ) -> None:
        super().__init__()
        self._position, self._arrays, self._meter = position, arrays, meter
        self._num_steps = num_steps

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Starts the clock; restores the metrics' totals, which `fit` has just cleared."""
        position, self._position = self._position, None
        if position is None or not position.step:
            self._meter.start(epoch * self._num_steps)
            return
        write_state(self.model, self._arrays, METRICS)
        self._meter.start(
            epoch * self._num_steps,
            position.step,
            position.epoch_seconds,
            position.epoch_waited_seconds,
        )


def _validator(
    job: Job, on_batch: Callable[[], None], *keep: Callable[[Evaluation], None]
) -> Callable[[keras.Model], dict[str, float]]:
    """Returns a function that measures a model on the validation split, if there is one."""

    def validate(model: keras.Model) -> dict[str, float]:
        if job.validation is None:
            return {}
        blanks = blanks_of(job.info)
        network = inference_network(model)
        evaluation = evaluate_source(network, job.validation, blanks, on_batch)
        for each in keep:
            each(evaluation)
        columns = _columns("validation", evaluation)
        if job.config.ema:
            raw = evaluate_source(model, job.validation, blanks, on_batch)
            columns |= _columns("raw_validation", raw)
        return columns

    return validate


def _columns(name: str, evaluation: Evaluation) -> dict[str, float]:
    """Returns an evaluation's columns of the history."""
    return {
        f"{name}_loss": evaluation.loss,
        f"{name}_character_accuracy": evaluation.character_accuracy,
        f"{name}_exact": evaluation.exact,
    }


def _fit(
    job: Job,
    model: keras.Model,
    epoch: int,
    step: int,
    clock: InputClock,
    callbacks: list[keras.callbacks.Callback],
) -> None:
    """Goes through the epochs that are left.

    Args:
        job: What is trained.
        model: With the weights that it had at that step.
        epoch: The first epoch.
        step: Its steps that are done.
        clock: Measures the wait for input.
        callbacks: What happens around the steps.
    """
    model.stop_training = False
    if step == job.training.num_steps:  # the epoch's steps are done, its validation is not
        ending = keras.callbacks.CallbackList(callbacks, model=model)
        ending.on_epoch_begin(epoch)
        ending.on_epoch_end(epoch, model.get_metrics_result())
        epoch += 1
    elif step:  # by itself: Keras would take this epoch's number of steps for that of all
        _fit_epochs(job, model, epoch, epoch + 1, step, clock, callbacks)
        epoch += 1
    if epoch < job.config.epochs and not model.stop_training:
        _fit_epochs(job, model, epoch, job.config.epochs, 0, clock, callbacks)


def _fit_epochs(
    job: Job,
    model: keras.Model,
    start: int,
    stop: int,
    start_step: int,
    clock: InputClock,
    callbacks: list[keras.callbacks.Callback],
) -> None:
    """Trains the epochs [start, stop), the first of them from a step on."""
    model.fit(
        feed(job.training, epoch=start, start_step=start_step, clock=clock),
        initial_epoch=start,
        epochs=stop,
        # Where the end of the data would be a surprise, TensorFlow begins one step too many: it
        # counts the step and draws dropout's next seed before it learns that there is no batch.
        steps_per_epoch=job.training.num_steps - start_step if start_step else None,
        shuffle=False,  # the order is ours
        verbose=0,
        callbacks=callbacks,
    )
