"""What can go wrong in training, as leaves of the tree in `convert.errors`.

ShardfeedError              exit 1
├── UsageError              exit 2: an option, a split or a run folder does not fit
├── RecordError             exit 1: a record or a shard is not what the dataset says
└── DivergedError           exit 1: the loss is no number any more
"""

from __future__ import annotations

from convert.errors import FormatError, ImageError, ShardfeedError, TryAgainError, UsageError

__all__ = [
    "DivergedError",
    "FormatError",
    "ImageError",
    "RecordError",
    "ShardfeedError",
    "TryAgainError",
    "UsageError",
]


class RecordError(ShardfeedError):
    """A shard or a record is damaged."""


class DivergedError(ShardfeedError):
    """The loss became infinite or not a number."""
