"""Checks that all processes of a team were started alike."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from train.errors import MismatchError
from train.hosts.team import Team
from train.training.job import Job

OF_HOSTS = ("run", "dataset", "more_datasets", "weights", "manifest", "cache", "cache_bytes")
"""Options that say where something is, which may be elsewhere on each host."""


def require_alike(job: Job, team: Team) -> None:
    """Raises unless this process and rank 0 have the same options and datasets.

    Raises:
        MismatchError: They have not; a step would be of two trainings.
    """
    require_equal(job.options, team.by_first(lambda: job.options), team)


def require_equal(ours: Mapping[str, Any], theirs: Mapping[str, Any], team: Team) -> None:
    """Raises `MismatchError` unless options are those of rank 0, but for those of `OF_HOSTS`."""
    ours, theirs = (json.loads(json.dumps(dict(one))) for one in (ours, theirs))  # tuples are lists
    for name in {**theirs, **ours}:
        if name not in OF_HOSTS and ours.get(name) != theirs.get(name):
            raise MismatchError(
                "the processes of this team were started with different options.",
                [
                    (f"{name.replace('_', ' ')} of rank {rank}", str(found.get(name)))
                    for rank, found in ((0, theirs), (team.rank, ours))
                ],
                "Start all of them by the same command, on the same dataset.",
            )
