"""Goes on with a run from its newest whole checkpoint."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from convert.dataset.read import OpenDataset, open_dataset
from convert.storage.places import absolute
from train.config import CHANGEABLE, OF_PLACES, YOUNGER, TrainConfig, is_custom, renamed
from train.errors import CheckpointError, FormatError, MismatchError, UsageError
from train.evaluation.calibration_file import is_calibrated
from train.hosts.team import Team
from train.model.build import resolved_head
from train.model.precision import resolved_precision
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
from train.training.job import Job, unchangeable
from train.training.result import TrainResult, result_of
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
        say: Called with one line for each thing a user may want to know meanwhile.
        team: The processes that train it together. None: this one alone.

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
    with resumed_run(path, say) as run:
        stored = run.config()
        require_named(stored, changes, run)
        config = _config(stored, changes, run)
        with reading(lambda: _open_same_datasets(config, stored, run)) as datasets:
            return _resume(run, config, stored, datasets, say)


def _resume(
    run: RunFolder,
    config: TrainConfig,
    stored: Mapping[str, Any],
    datasets: Sequence[OpenDataset],
    say: Say,
) -> TrainResult:
    """Goes on with a run whose options and datasets are known to be its own."""
    tell = RunLog(run, say)
    notes: list[str] = []  # said, and added to the run's log, once nothing is refused any more
    checkpoint = _newest(run, notes.append)
    if checkpoint is not None:
        _require_unedited(stored, checkpoint, run)
        if checkpoint.position.journal.is_complete(config):
            # Killed before they were written, or older than calibrations.
            if not os.path.exists(run.file(REPORT)) or not is_calibrated(run):
                job = Job.open(config, datasets)
                _cut_back(run, checkpoint, tell)
                best = checkpoint.position.journal.best
                finish_run(job, run.load_model(), run, best, tell)
            for note in notes:
                tell(note)
            epochs = checkpoint.position.epoch
            say(f"{run.address} is complete: {epochs} epochs are done")
            return result_of(run.address, checkpoint.position.journal, checkpoint.position.seconds)
    elif config.weights is not None:
        raise CheckpointError(
            f"{run.address}: was stopped before its first step, with no checkpoint of its first "
            "weights yet. Nothing is lost: remove it, and train again."
        )
    _require_same_backend(run)
    job = replace(Job.open(config, datasets), weights_digest=stored.get("weights_digest"))
    if checkpoint is not None:
        checkpoint.require_fitting(job.training.num_steps)
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
    return train_and_report(job, model, run, checkpoint, arrays, tell)


def _config(stored: Mapping[str, Any], changes: Mapping[str, Any], run: RunFolder) -> TrainConfig:
    """Returns the run's options with those changed that may."""
    names = [field.name for field in fields(TrainConfig)]
    younger = {f.name: f.default for f in fields(TrainConfig) if f.name in YOUNGER}
    lists = {name: tuple(value) for name, value in stored.items() if isinstance(value, list)}
    stored = {**younger, **stored, **lists}
    missing = [name for name in names if name not in stored]
    if missing:
        raise FormatError(
            f"{run.shown(CONFIG)}: has no {missing[0]!r}, so another version of shardfeed wrote "
            "it. Resume with that version, or start a new run."
        )
    config = TrainConfig(**{name: stored[name] for name in names})
    count, asked_for = len(config.datasets), 1 + len(changes.get("more_datasets", ()))
    if "dataset" in changes and asked_for != count:
        raise UsageError(
            f"{run.address}: was started on {count} datasets, got {asked_for}. Give --dataset for "
            "each, in the order of config.json."
        )
    if "weights" in changes:  # config.json has the whole path
        changes = {**changes, "weights": absolute(changes["weights"])}
    asked = replace(config, **changes)
    if asked.head == "auto":
        asked = replace(asked, head=resolved_head(asked, run.dataset_info()))
    if asked.precision == "auto":
        asked = replace(asked, precision=resolved_precision("auto"))
    different = [
        name
        for name in names
        if name not in (*CHANGEABLE, *OF_PLACES) and getattr(asked, name) != stored[name]
    ]
    if different:
        pairs = [(name, stored[name], getattr(asked, name)) for name in different]
        allowed = ", ".join("--" + name.replace("_", "-") for name in CHANGEABLE)
        raise MismatchError(
            f"{run.address} was started with other options.",
            _sides(pairs, "in the run", "asked for"),
            f"Only {allowed} may change. Leave the others out, or start a new run.",
        )
    return asked


def require_named(stored: Mapping[str, Any], given: Collection[str], run: RunFolder) -> None:
    """Raises unless a function of the user's is named again: a file may not choose what runs.

    Args:
        stored: Content of the run's config.json.
        given: Names of the options that the user repeated.
        run: The run.
    """
    for option, does in (
        ("model", "model is built"),
        ("augment", "training images are changed"),
    ):
        name = stored.get(option)
        if is_custom(name) and option not in given:
            raise UsageError(
                f"{run.address}: its {does} by {name}, which is imported only if it is named. "
                f"If you trust it, repeat --{option} {name}."
            )


def _require_unedited(stored: Mapping[str, Any], checkpoint: Checkpoint, run: RunFolder) -> None:
    """Raises unless config.json says what the checkpoint does."""
    ours, theirs = renamed(checkpoint.position.options), unchangeable(stored)
    names = [name for name in ours if ours[name] != theirs.get(name)]
    if names:
        pairs = [(name, ours[name], theirs.get(name)) for name in names]
        raise MismatchError(
            f"{run.shown(CONFIG)} was edited since the checkpoint was written.",
            _sides(pairs, "in the checkpoint", f"in {CONFIG}"),
            "Put it back as it was, or start a new run.",
        )


def _sides(pairs: Sequence[tuple[str, Any, Any]], first: str, second: str) -> list[tuple[str, str]]:
    """Returns both values of each option, for a `MismatchError`."""
    return [
        (f"{name.replace('_', ' ')} {where}", str(value))
        for name, *values in pairs
        for where, value in zip((first, second), values, strict=True)
    ]


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
    then, now = run.environment().get("backend"), environment()["backend"]
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
