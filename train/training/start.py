"""A training run from its start."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import keras

from train.config import TrainConfig
from train.errors import StoppedError
from train.evaluation.fit_calibration import calibrate_run
from train.evaluation.predictions import Evaluation
from train.hosts.devices import device_lines, on_one_device, sharing
from train.hosts.team import Arrays, Team
from train.memory import window_warning
from train.report.write import write_report
from train.runs.checkpoints.checkpoint import Checkpoint
from train.runs.folder import RunFolder
from train.runs.history import Row
from train.runs.log import RunLog
from train.runs.open import new_run
from train.training.job import Job
from train.training.old_weights import with_weights
from train.training.result import TrainResult
from train.training.same_options import require_alike
from train.training.session import resumable, train_session

__all__ = ["TrainResult", "train_model"]


def train_model(
    config: TrainConfig, say: Callable[[str], None] = lambda line: None, team: Team | None = None
) -> TrainResult:
    """Trains a model on a dataset, into a new run folder.

    Args:
        config: What and how.
        say: Called with one line for each thing a user may want to know meanwhile; on rank 0 only.
        team: Of several processes, which all call this with the same options. None: this one.

    Raises:
        UsageError: An option or the dataset's splits do not fit.
        FormatError: The dataset is no valid one.
        RecordError: A record is damaged.
        DivergedError: The loss became infinite or not a number.
        TryAgainError: The disk is full or damaged, or the run cannot be uploaded.
        StoppedError: SIGTERM or Ctrl-C came; a checkpoint is written.
    """
    team = team or Team()
    with team.guarded():
        job = Job.open(config, team=team)
        require_alike(job, team)
        with sharing(team):
            return _train(job, say, team)


def _train(job: Job, say: Callable[[str], None], team: Team) -> TrainResult:
    """Builds a model and trains it into a new folder."""
    # Before there is a folder: what cannot be built leaves nothing behind.
    model = job.model()
    job, taken = with_weights(job, model)
    if not team.is_first:
        run = RunFolder(team.by_first(str))
        return train_and_report(job, model, run, None, {}, RunLog(run, say), team)
    with new_run(job.config.run, say) as run:
        run.write_start(job.options, job.info)
        tell = RunLog(run, say)
        tell(_opening(job, run))
        for line in device_lines(job.training.batch_size, team.name):
            tell(line)
        if taken is not None:
            tell(taken)
        reader = job.training.reader
        window = min(job.training.order.window, reader.num_records)
        if warning := window_warning(window, reader.record_bytes):
            tell(f"warning: {warning}")
        run.upload()
        team.by_first(lambda: run.address)
        return train_and_report(job, model, run, None, {}, tell, team)


def train_and_report(
    job: Job,
    model: keras.Model,
    run: RunFolder,
    checkpoint: Checkpoint | None,
    arrays: Arrays,
    say: RunLog,
    team: Team,
) -> TrainResult:
    """Trains until nothing is left to do, then writes the report; arguments as `train_session`."""
    with resumable(job.readers, run):
        try:
            result, evaluation = train_session(job, model, run, checkpoint, arrays, say, team)
        except StoppedError as stopped:  # whoever asked for it is told by the command
            team.by_first(partial(_note_stop, run, say, str(stopped)))
            raise
        with on_one_device():
            team.by_first(lambda: finish_run(job, model, run, result.best, say, evaluation))
    return result


def _note_stop(run: RunFolder, say: RunLog, line: str) -> None:
    """Writes down that a run was stopped."""
    say.write(line)
    run.upload()


def finish_run(
    job: Job,
    model: keras.Model,
    run: RunFolder,
    best: Row,
    say: Callable[[str], None],
    evaluation: Evaluation | None = None,
) -> None:
    """Writes what a run leaves once nothing is left to train: calibration and report.

    Args:
        job: What was trained.
        model: Its model; only its variables are counted.
        run: The run.
        best: The history's row of the epoch whose weights are kept.
        say: Prints a line that stays.
        evaluation: What these weights read on validation, if it is known.
    """
    calibration, calibrated = calibrate_run(run, job.validation, job.validation_records)
    say(f"calibration: {calibration}")
    read = calibrated or evaluation
    write_report(run, model, best, job.training.reader, job.validation, read, job.parts)
    for part in job.parts:
        exact, characters = (
            best.get(f"{part.prefix}_{name}") for name in ("exact", "character_accuracy")
        )
        if exact is not None and characters is not None:
            say(f"{part.path}: exact {exact:.1%}, characters {characters:.1%} on validation")
    run.upload()


def _opening(job: Job, run: RunFolder) -> str:
    height, width, channels = job.info.image_shape
    classes = sorted({len(classes) for classes in job.info.classes.values()})
    held_out = (
        f"{job.validation.reader.num_records:,} to validate on"
        if job.validation
        else "no validation split, so the last epoch counts as the best"
    )
    on_device = "" if job.fed.device_strength is None else "; augmented on the device"
    several = f"of {len(job.datasets)} datasets " if len(job.datasets) > 1 else ""
    return (
        f"{run.address}: {job.training.reader.num_records:,} images {width}x{height}x{channels} "
        f"{several}to train on, {held_out}; {len(job.info.outputs)} outputs of "
        f"{'/'.join(map(str, classes))} classes; "
        f"{job.config.epochs} epochs of {job.training.num_steps} steps{on_device}"
    )
