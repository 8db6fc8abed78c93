"""Everything that can go wrong, as one small tree.

ShardfeedError              exit 1: it failed
├── UsageError              exit 2: the command, manifest or options are wrong
├── TryAgainError           exit 75: the disk, the network or another process; the same
│   │                       command goes on where this one stopped
│   └── ReplacedError       exit 75: the dataset was replaced while it was read
├── FormatError             exit 1: a dataset folder is not what its format says
├── TooManyBadRowsError     exit 1: more rows were left out than allowed
└── ImageError              one row cannot be converted; becomes a quarantine entry
"""

from __future__ import annotations

from typing import Any, Literal, get_args

Reason = Literal[
    "label_missing",
    "label_unknown",
    "label_length",
    "label_rejected",
    "path_missing",
    "box_invalid",
    "missing",
    "not_a_file",
    "outside_root",
    "unreadable",
    "empty_file",
    "unknown_format",
    "truncated",
    "damaged",
    "too_large",
    "unsupported_mode",
    "unsupported_here",
    "box_outside",
    "worker_died",
]
"""Why a row was left out. The list is closed: scripts may match on it."""

REASONS: tuple[Reason, ...] = get_args(Reason)

PLAN_REASONS: frozenset[Reason] = frozenset(
    (
        "label_missing",
        "label_unknown",
        "label_length",
        "label_rejected",
        "path_missing",
        "box_invalid",
    )
)
"""Those that the manifest alone decides; all others may pass when the files are repaired."""


def printable(text: str) -> str:
    """Returns a text as it can be printed in one line, whatever characters it has."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


class ShardfeedError(Exception):
    """The base of all errors that shardfeed raises on purpose; `str()` is one line."""

    exit_code = 1

    def __str__(self) -> str:
        # Messages quote what is in files: line ends, or what makes a terminal do things.
        return printable(super().__str__())


class UsageError(ShardfeedError, ValueError):
    """The command, an option or the manifest cannot be used as it is."""

    exit_code = 2


def require(condition: bool, message: str) -> None:
    """Raises `UsageError` with a message unless a condition holds."""
    if not condition:
        raise UsageError(message)


def require_choice(flag: str, value: object, kind: Any) -> None:
    """Raises `UsageError` unless an option's value is one of a `Literal`."""
    choices = get_args(kind)
    require(value in choices, f"{flag} must be one of {', '.join(choices)}, got {value!r}.")


class TryAgainError(ShardfeedError):
    """Something outside failed that may pass: a full disk, an I/O error, a dead process."""

    exit_code = 75


class ReplacedError(TryAgainError):
    """Another dataset took the place of the one that was read."""


class FormatError(ShardfeedError):
    """A dataset folder is missing, incomplete, or not what its `dataset.json` says."""


class TooManyBadRowsError(ShardfeedError):
    """More rows were left out than `--max-bad-fraction` allows."""


class ImageError(ShardfeedError):
    """One row's image cannot be converted.

    Attributes:
        reason: A code of the closed list `REASONS`.
        detail: What was found and what was expected, without machine paths.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason: Reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type[ImageError], tuple[Reason, str]]:
        return ImageError, (self.reason, self.detail)
