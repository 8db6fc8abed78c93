"""The options of `load_dataset` and its like, checked."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ParamSpec, TypeVar, get_args

from convert.dataset.read import OpenDataset
from train.config import OnBadRecord, VerifyRecords
from train.errors import UsageError
from train.records.batches import Augment, LabelForm

Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]

_Arguments = ParamSpec("_Arguments")
_Asked = TypeVar("_Asked")
_Result = TypeVar("_Result")


@dataclass(frozen=True, kw_only=True)
class SourceOptions:
    """What a user may say about the batches of a split.

    Attributes:
        shuffle: Whether to shuffle. None, the default: only the split `train`.
        drop_remainder: Whether to leave out a last batch that is short. None: if shuffled.
        augment: Whether to change the images at random, as a function of (seed, epoch, step), or
            how far: `none`, `light`, `default` (as True) or `strong`; or a function of your own,
            (uint8 images, `train.Draws`) -> uint8 images, or its name, `module:function`.
        window: Records that are shuffled as one. None: all, if they take less than 4 GiB.
        weights: Shares of several datasets, in any unit. None: each record once an epoch.
        rank: Which part of every batch is made here. In [0, num_ranks).
        num_ranks: Processes that share each batch; side by side their parts are the batch.
        labels: `dict`: {output name: int32 (batch,)}; `array`: one int32 (batch, outputs).
        verify_records: Whether to compare a record's CRC the `first` time that it is read,
            `always`, or never (`off`). Labels out of range are found in any case.
        on_bad_record: `stop`, or `skip`: reads the next sound record in place of a bad one.
        manifest: The dataset's manifest, so that messages can name a bad record's source.
        limit: Only the first so many records of each dataset, to debug with. None: all.
        cache: A folder on a fast disk that shards are read through. None: for a dataset on HDFS
            `$XDG_CACHE_HOME/shardfeed` or `~/.cache/shardfeed`, for others none.
        cache_bytes: What the cache may take. None: half of what is free there, with what it has.
    """

    shuffle: bool | None = None
    drop_remainder: bool | None = None
    augment: bool | str | Augment = False
    window: int | None = None
    weights: Sequence[float] | None = None
    rank: int = 0
    num_ranks: int = 1
    labels: LabelForm = "dict"
    verify_records: VerifyRecords = "first"
    on_bad_record: OnBadRecord = "stop"
    manifest: str | None = None
    limit: int | None = None
    cache: str | None = None
    cache_bytes: int | None = None


@dataclass(frozen=True)
class SourceArguments(SourceOptions):
    """What batches are made of.

    Attributes:
        path: A folder that `convert` made, also on HDFS, or several; or open datasets.
        split: `train`, `validation` or `test`.
        batch_size: Records of a batch, of all ranks together. At least 1.
        seed: Of the order and the augmentation. In [0, 2**63).
    """

    path: Paths | OpenDataset | Sequence[OpenDataset]
    split: str
    batch_size: int
    seed: int = 0

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise UsageError(f"--batch-size must be at least 1, got {self.batch_size}.")
        if not 0 <= self.rank < self.num_ranks:
            raise UsageError(
                f"rank must be in [0, num_ranks), got rank {self.rank} of {self.num_ranks}."
            )
        if self.batch_size % self.num_ranks:
            raise UsageError(
                f"{self.num_ranks} ranks cannot share a batch of {self.batch_size} evenly; "
                "the batch size, that of all ranks together, must be a multiple of num_ranks."
            )
        if self.limit is not None and self.limit < 1:
            raise UsageError(f"limit must be at least 1, got {self.limit}.")
        if self.labels not in get_args(LabelForm):
            raise UsageError(f"labels must be 'dict' or 'array', got {self.labels!r}.")

    @property
    def is_shuffled(self) -> bool:
        """Whether records are shuffled: by default those of the split `train`."""
        return self.split == "train" if self.shuffle is None else self.shuffle


@dataclass(frozen=True, kw_only=True)
class EpochArguments(SourceArguments):
    """Where reading begins.

    Attributes:
        epoch: The first epoch.
        start_step: Batches that the first epoch leaves out. In [0, batches of an epoch].
    """

    epoch: int = 0
    start_step: int = 0


@dataclass(frozen=True, kw_only=True)
class IterationArguments(EpochArguments):
    """How far an iteration goes.

    Attributes:
        epochs: Epochs that one iteration goes through.
    """

    epochs: int = 1


def takes(
    arguments: Callable[_Arguments, _Asked],
) -> Callable[[Callable[[_Asked], _Result]], Callable[_Arguments, _Result]]:
    """Makes a function of a dataclass take the dataclass's fields: they are written down once."""

    def decorate(function: Callable[[_Asked], _Result]) -> Callable[_Arguments, _Result]:
        @functools.wraps(function)
        def call(*args: _Arguments.args, **options: _Arguments.kwargs) -> _Result:
            signature.bind(*args, **options)  # whose errors do not name the dataclass
            return function(arguments(*args, **options))

        returned = inspect.signature(function).return_annotation
        signature = inspect.signature(arguments).replace(return_annotation=returned)
        vars(call)["__signature__"] = signature
        return call

    return decorate
