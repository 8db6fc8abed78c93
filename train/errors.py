"""What can go wrong in training, as leaves of the tree in `convert.errors`.

ShardfeedError              exit 1
├── UsageError              exit 2: an option, a split or a run folder does not fit
│   └── MismatchError       exit 2: two things that must be the same are not
├── TryAgainError           exit 75: the disk, or another process that trains the same run
│   ├── ReplacedError       exit 75: the dataset was replaced while it was read
│   └── OvertakenError      exit 75: another machine has gone on with a run on HDFS
├── RecordError             exit 1: a record or a shard is not what the dataset says
├── CheckpointError         exit 1: no checkpoint of a run can be used
├── DivergedError           exit 1: the loss is no number any more
└── StoppedError            exit 143 or 130: a signal ended the run; it can be resumed
"""

from __future__ import annotations

import signal
from collections.abc import Sequence

from convert.errors import (
    FormatError,
    ImageError,
    ReplacedError,
    ShardfeedError,
    TryAgainError,
    UsageError,
)

__all__ = [
    "CheckpointError",
    "DivergedError",
    "FormatError",
    "ImageError",
    "MismatchError",
    "OvertakenError",
    "RecordError",
    "ReplacedError",
    "ShardfeedError",
    "StoppedError",
    "TryAgainError",
    "UsageError",
]


class MismatchError(UsageError):
    """Two things that must be the same are not; told in a few lines that show both.

    Args:
        problem: What is wrong; the first line.
        sides: (where it was found, what was found there); a line each.
        remedy: What to do; the last line.
    """

    def __init__(self, problem: str, sides: Sequence[tuple[str, str]], remedy: str) -> None:
        width = max(len(where) for where, _ in sides) + 1
        shown = [f"  {where + ':':{width}}  {what}" for where, what in sides]
        self.lines = [problem, *shown, remedy]
        super().__init__("\n".join(self.lines))

    def __str__(self) -> str:
        # Only the line ends between our lines are meant: what is quoted stays on its line.
        return "\n".join(str(ShardfeedError(line)) for line in self.lines)


class OvertakenError(TryAgainError):
    """Another machine has gone on with a run on HDFS; what this one did since is void."""


class RecordError(ShardfeedError):
    """A shard or a record is damaged."""


class CheckpointError(ShardfeedError):
    """A run cannot go on, since no checkpoint of it can be used."""


class DivergedError(ShardfeedError):
    """The loss became infinite or not a number."""


class StoppedError(ShardfeedError):
    """A signal or a limit of time ended a run after a checkpoint was written.

    Args:
        message: What was done, and how to go on.
        number: The signal's. None: there was none, all is as it was asked for.
    """

    def __init__(self, message: str, number: signal.Signals | None = None) -> None:
        super().__init__(message)
        self.exit_code = 0 if number is None else 128 + number  # as shells report it
