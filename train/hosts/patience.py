"""How long a team waits for a process of which it hears nothing."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field

from train.errors import UsageError


def _seconds(variable: str, default: float) -> float:
    """Reads a number of seconds from the environment."""
    text = os.environ.get(variable) or str(default)
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 1 <= seconds < math.inf:
        raise UsageError(f"{variable} must be a number of seconds, 1 or more, got {text!r}.")
    return seconds


@dataclass(frozen=True, kw_only=True, slots=True)
class Patience:
    """How long a team waits; each is an environment variable, for slower networks and for tests.

    Attributes:
        join: Seconds until all have started.
        heartbeat: Seconds after which a process that says nothing is given up.
        step: Seconds that a step may take in any case: a minute, and the two in which HDFS is tried
            again while it waits for its batch; it may take ten times the slowest before it. The
            first of a session, and those that may be compiled, may take ten times these seconds.
    """

    join: float = field(default_factory=lambda: _seconds("SHARDFEED_JOIN_SECONDS", 300))
    heartbeat: float = field(default_factory=lambda: _seconds("SHARDFEED_HEARTBEAT_SECONDS", 100))
    step: float = field(default_factory=lambda: _seconds("SHARDFEED_STEP_SECONDS", 180))
