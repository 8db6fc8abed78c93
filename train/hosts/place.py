"""Which part of a team a process is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Which part of a team a process is.

    Attributes:
        coordinator: `host:port` where rank 0 listens.
        rank: Which process this is. In [0, size).
        size: Processes of the team.
        launcher: What started them, for messages.
    """

    coordinator: str
    rank: int
    size: int
    launcher: str
