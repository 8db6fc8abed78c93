"""A process that goes on with a run which rank 0 of its team has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from train.config import TrainConfig
from train.hosts.devices import sharing
from train.hosts.team import Team
from train.model.build import use_deterministic_kernels
from train.model.variables import read_state
from train.runs.checkpoints.checkpoint import Checkpoint, Position
from train.runs.folder import RunFolder
from train.runs.log import RunLog
from train.training.job import Job
from train.training.result import TrainResult, result_of
from train.training.resuming.resumed_options import require_named
from train.training.same_options import OF_HOSTS, require_alike, require_equal
from train.training.start import train_and_report


def start_devices(team: Team, *, deterministic: bool) -> None:
    """Starts the devices of several processes: all have to, before one of them uses its own.

    Args:
        team: The processes.
        deterministic: Whether the run's kernels are to give the same bits; that of rank 0 counts.
    """
    if team.by_first(lambda: deterministic):
        use_deterministic_kernels()  # before they are started
    team.connect()


def tell_others(
    run: RunFolder,
    config: TrainConfig,
    changes: Mapping[str, Any],
    weights_digest: str | None,
    checkpoint: Checkpoint | None,
    team: Team,
) -> None:
    """Tells the other ranks what run goes on, and where.

    Args:
        run: The run, which rank 0 has.
        config: Its options.
        changes: Those that the user named, {option: value}.
        weights_digest: As in `Job`.
        checkpoint: Where the run stands. None: at its start.
        team: The processes.
    """
    told = {
        "address": run.address,
        "options": asdict(config),
        "changes": dict(changes),
        "weights_digest": weights_digest,
        "position": asdict(checkpoint.position) if checkpoint else None,
    }
    team.by_first(lambda: told)


def follow_resumed(changes: Mapping[str, Any], team: Team) -> TrainResult:
    """Goes on with the run that rank 0 tells of; arguments as `resume_training`."""
    start_devices(team, deterministic=False)
    told: dict[str, Any] = team.by_first(dict)
    own = {name: value for name, value in changes.items() if name in OF_HOSTS}
    require_equal(changes, told["changes"], team)
    run, options = RunFolder(told["address"]), told["options"]
    require_named(options, changes, run)
    lists = {name: tuple(value) for name, value in options.items() if isinstance(value, list)}
    config = TrainConfig(**{**options, **lists, **own})
    checkpoint = None
    if told["position"] is not None:
        position = Position(**told["position"])
        if position.journal.is_complete(config):
            team.by_first(lambda: None)  # rank 0 writes what may be missing
            return result_of(run.address, position.journal, position.seconds)
        checkpoint = Checkpoint(path="", position=position, models=())
    job = replace(Job.open(config, team=team), weights_digest=told["weights_digest"])
    require_alike(job, team)
    with sharing(team):
        model = job.model()
        arrays = team.share_arrays({}, read_state(model)) if checkpoint else {}
        say = RunLog(run, lambda line: None)  # rank 0 has the run, and tells of it
        return train_and_report(job, model, run, checkpoint, arrays, say, team)
