"""Checks that all processes of a team were started alike."""

from __future__ import annotations

import json
from typing import Any

from train.errors import MismatchError
from train.hosts.solo import Team
from train.training.job import Job

OF_HOSTS = ("run", "dataset", "more_datasets", "weights", "manifest", "cache", "cache_bytes")
"""Options that say where something is, which may be elsewhere on each host."""


def require_alike(job: Job, team: Team) -> None:
    """Raises unless this process and rank 0 have the same options and datasets.

    Raises:
        MismatchError: They have not; a step would be of two trainings.
    """
    ours = {name: value for name, value in job.options.items() if name not in OF_HOSTS}
    require_equal(ours, team.by_first(lambda: ours), team)


def require_equal(ours: dict[str, Any], theirs: dict[str, Any], team: Team) -> None:
    """Raises `MismatchError` unless options are those of rank 0."""
    ours, theirs = (json.loads(json.dumps(one)) for one in (ours, theirs))  # tuples are lists
    for name in {**theirs, **ours}:
        if ours.get(name) != theirs.get(name):
            raise MismatchError(
                "the processes of this team were started with different options.",
                [
                    (f"{name.replace('_', ' ')} of rank {rank}", str(found.get(name)))
                    for rank, found in ((0, theirs), (team.rank, ours))
                ],
                "Start all of them by the same command, on the same dataset.",
            )
