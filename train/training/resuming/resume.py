"""Goes on with a run from its newest whole checkpoint."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import keras

from convert.dataset.read import OpenDataset, open_dataset
from train.config import TrainConfig
from train.errors import CheckpointError, FormatError, MismatchError
from train.evaluation.calibration_file import is_calibrated
from train.hosts.devices import device_lines, sharing
from train.hosts.team import Team
from train.model.variables import require_state
from train.runs.checkpoints.checkpoint import Checkpoint
from train.runs.checkpoints.store import Checkpoints
from train.runs.dataset_identity import other_dataset, own_ids, reading
from train.runs.environment import differences, environment
from train.runs.events import cut_back
from train.runs.folder import CHECKPOINTS, EVENTS, MODELS, REPORT, RunFolder
from train.runs.history import Journal
from train.runs.log import RunLog
from train.runs.new_folder import CONFIG
from train.runs.open import resumed_run
from train.training.job import Job
from train.training.result import TrainResult, result_of
from train.training.resuming.follow import follow_resumed, start_devices, tell_others
from train.training.resuming.resumed_options import require_named, require_unedited, resumed_config
from train.training.same_options import require_alike
from train.training.start import finish_run, train_and_report

Say = Callable[[str], None]


def resume_training(
    path: str,
    changes: Mapping[str, Any],
    say: Say = lambda line: None,
    team: Team | None = None,
) -> TrainResult:
    """Goes on with a run until nothing is left to do.

    Args:
        path: The run's folder, or its address on HDFS.
        changes: {option: value} for options that were asked for. Those in `config.CHANGEABLE` may
            differ from the run's, all others must be equal.
        say: Called with one line for each thing a user may want to know meanwhile; on rank 0 only.
        team: Of several processes, which all call this with the same options. None: this one.

    Raises:
        MismatchError: The dataset or an option is not the run's.
        FormatError: The run or the dataset cannot be read.
        CheckpointError: No checkpoint can be used, or the newest is of another model.
        TryAgainError: Another process trains the run, the disk is full or damaged, or the run
            cannot be uploaded.
        StoppedError: SIGTERM or Ctrl-C came; a checkpoint is written.
        RecordError: A record is damaged.
        DivergedError: The loss became infinite or not a number.
    """
    team = team or Team()
    with team.guarded():
        if not team.is_first:
            return follow_resumed(changes, team)
        with resumed_run(path, say) as run:
            stored = run.config()
            require_named(stored, changes, run)
            start_devices(team, deterministic=stored.get("deterministic") is True)
            config = resumed_config(stored, changes, run)
            with reading(lambda: _open_same_datasets(config, stored, run)) as datasets:
                return _resume(run, config, stored, changes, datasets, say, team)


def _resume(
    run: RunFolder,
    config: TrainConfig,
    stored: Mapping[str, Any],
    changes: Mapping[str, Any],
    datasets: Sequence[OpenDataset],
    say: Say,
    team: Team,
) -> TrainResult:
    """Goes on with a run whose options and datasets are known to be its own."""
    tell = RunLog(run, say)
    notes: list[str] = []  # said, and added to the run's log, once nothing is refused any more
    checkpoint = _newest(run, notes.append)
    if checkpoint is not None:
        require_unedited(stored, checkpoint, run)
    elif config.weights is not None:
        raise CheckpointError(
            f"{run.address}: was stopped before its first step, with no checkpoint of its first "
            "weights yet. Nothing is lost: remove it, and train again."
        )
    digest = stored.get("weights_digest")
    tell_others(run, config, changes, digest, checkpoint, team)
    if checkpoint is not None and checkpoint.position.journal.is_complete(config):
        team.by_first(lambda: _finish(run, config, checkpoint, datasets, notes, tell))
        epochs = checkpoint.position.epoch
        say(f"{run.address} is complete: {epochs} epochs are done")
        return result_of(run.address, checkpoint.position.journal, checkpoint.position.seconds)
    _require_same_backend(run)
    job = replace(Job.open(config, datasets, team), weights_digest=digest)
    require_alike(job, team)
    if checkpoint is not None:
        checkpoint.require_fitting(job.training.num_steps)
    with sharing(team):
        model = job.model()
        if checkpoint is not None:
            require_state(model, checkpoint.require_headers())  # before memory is taken for them
        arrays = checkpoint.require_arrays() if checkpoint else {}
        # All that can be refused has been looked at: from here on the run changes.
        for note in notes:
            tell(note)
        _cut_back(run, checkpoint, tell)
        run.write_config({**job.options, "run": stored.get("run", run.address)})
        _warn(run, tell)
        tell(_opening(run, job, checkpoint))
        for line in device_lines(job.training.batch_size, team.name):
            tell(line)
        shared = team.share_arrays(arrays, arrays) if checkpoint else {}
        return train_and_report(job, model, run, checkpoint, shared, tell, team)


def _finish(
    run: RunFolder,
    config: TrainConfig,
    checkpoint: Checkpoint,
    datasets: Sequence[OpenDataset],
    notes: Sequence[str],
    tell: Say,
) -> None:
    """Writes what a run that is complete lacks: killed before, or older than calibrations."""
    if not os.path.exists(run.file(REPORT)) or not is_calibrated(run):
        job = Job.open(config, datasets)
        _cut_back(run, checkpoint, tell)
        finish_run(job, run.load_model(), run, checkpoint.position.journal.best, tell)
    for note in notes:
        tell(note)


def _open_same_datasets(
    config: TrainConfig, stored: Mapping[str, Any], run: RunFolder
) -> list[OpenDataset]:
    """Opens the datasets; raises unless they are those that the run was started on."""
    try:
        datasets = [open_dataset(path) for path in config.datasets]
    except FormatError as error:
        raise FormatError(
            f"{error} If the run's dataset was moved, name it with --dataset."
        ) from error
    ids = own_ids(stored)
    if len(ids) != len(datasets):
        raise FormatError(
            f"{run.shown(CONFIG)}: damaged: it has the ids of {len(ids)} datasets, and "
            f"{len(datasets)} datasets. Restore it, or start a new run."
        )
    for number, (dataset, own) in enumerate(zip(datasets, ids, strict=True)):
        if dataset.info.dataset_id != own:
            remedy = "Point --dataset at the original, or start a new run."
            raise other_dataset(run, dataset.path, dataset.info, remedy, number)
    return datasets


def _require_same_backend(run: RunFolder) -> None:
    """Raises unless Keras runs on what it ran on before: another has other variables."""
    then, now = run.environment().get("backend"), keras.backend.backend()
    if then is not None and then != now:
        raise MismatchError(
            f"{run.address} was started on another backend of Keras.",
            [("backend of the run", str(then)), ("backend now", now)],
            f"Resume it with KERAS_BACKEND={then}, or start a new run.",
        )


def _newest(run: RunFolder, tell: Say) -> Checkpoint | None:
    """Returns the newest checkpoint that is whole; None for a run that had none yet.

    Raises:
        CheckpointError: All are damaged or gone, and starting again would delete the run's models.
    """
    damaged: list[tuple[str, str]] = []
    newest = Checkpoints(run.file(CHECKPOINTS), shown=run.shown(CHECKPOINTS)).newest(
        lambda name, problem: damaged.append((run.shown(f"{CHECKPOINTS}/{name}"), problem))
    )
    if newest is None:
        _refuse_to_start_again(run, damaged)
        return None
    for path, problem in damaged:
        tell(f"{path}: damaged: {problem}; falls back to {os.path.basename(newest.path)}")
    return newest


def _refuse_to_start_again(run: RunFolder, damaged: Sequence[tuple[str, str]]) -> None:
    """Raises if a run has no usable checkpoint, though it was far enough to have had one."""
    if damaged:
        path, problem = damaged[0]
        what = f"{path}: damaged: {problem}; no other checkpoint is whole"
    elif len(run.history()) > 1:  # the first epoch's row is written before its checkpoint
        what = f"{run.shown(CHECKPOINTS)}: its checkpoints are gone"
    else:
        return
    raise CheckpointError(
        f"{what}. The run's models and history stay as they are; restore a checkpoint from a copy, "
        "or start a new run."
    )


def _cut_back(run: RunFolder, checkpoint: Checkpoint | None, tell: Say) -> None:
    """Brings every file of a run back to where a checkpoint stands, or to its start."""
    journal = checkpoint.position.journal if checkpoint else Journal()
    run.tidy()
    with run.writing(CHECKPOINTS):
        Checkpoints(run.file(CHECKPOINTS)).tidy(checkpoint)
    for name in MODELS:
        copy = os.path.join(checkpoint.path, name) if checkpoint else None
        run.restore_model(copy if checkpoint and name in checkpoint.models else None, name)
    run.remove(REPORT)  # it tells of fewer epochs
    run.write_history(journal.history)
    run.write_bad_records(journal.bad_records)
    with run.writing(EVENTS):
        sizes = checkpoint.position.events if checkpoint else {}
        damaged = cut_back(run.file(EVENTS), sizes)
    if damaged:
        tell(f"{run.shown(EVENTS)}: {', '.join(damaged)} lost points that were in the checkpoint")


def _warn(run: RunFolder, tell: Say) -> None:
    """Warns of changes that may alter the last bits of the result."""
    changed = differences(run.environment(), environment())
    if changed:
        tell(
            f"not as when the run was started: {'; '.join(changed)}. "
            "The result may differ in its last bits from that of an uninterrupted run"
        )


def _opening(run: RunFolder, job: Job, checkpoint: Checkpoint | None) -> str:
    steps, epochs = job.training.num_steps, job.config.epochs
    if checkpoint is None:
        return f"{run.address}: no checkpoint yet; starts again: {epochs} epochs of {steps} steps"
    epoch, step = checkpoint.position.epoch, checkpoint.position.step
    if step == steps:
        return f"{run.address}: goes on in epoch {epoch + 1}/{epochs}, after its last step"
    return f"{run.address}: goes on in epoch {epoch + 1}/{epochs} after step {step}/{steps}"
