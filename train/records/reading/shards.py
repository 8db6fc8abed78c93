"""Shards as a reader uses them: local files, or remote ones that are fetched."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from convert.dataset.folder import Folder
from convert.dataset.info import Shard

Bytes = np.ndarray[Any, np.dtype[np.uint8]]
Ints = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardFile:
    """A shard where it lies.

    Attributes:
        folder: The dataset's folder, held.
        shard: What the dataset says of it.
    """

    folder: Folder
    shard: Shard

    @property
    def path(self) -> str:
        """The file, for messages."""
        return self.folder.file(self.shard.file)


def shard_counts(files: Sequence[ShardFile], records: Ints | None) -> list[int]:
    """Returns how many of some records each shard has.

    Args:
        files: The shards.
        records: Numbers of the records, counted over the shards, ascending. None: all.
    """
    sizes = [file.shard.records for file in files]
    if records is None:
        return sizes
    return np.diff(np.searchsorted(records, np.cumsum([0, *sizes]))).tolist()


def mean_record_bytes(files: Sequence[ShardFile]) -> int:
    """Returns the mean bytes of a record of some shards, frame included, rounded up."""
    num_records = sum(file.shard.records for file in files)
    return -(-sum(file.shard.bytes for file in files) // max(1, num_records))


class FarShards(Protocol):
    """Shards that are brought to where they can be read; see `train.cache.shards`."""

    def memory(self, shard: int) -> Bytes:
        """Returns where a shard lies while it is held: uint8, shape (size,)."""

    def paths(self) -> list[str]:
        """Returns the files that are here."""

    def parts(self, shards: Ints) -> list[Ints]:
        """Returns shards in groups that can be held one after the other."""

    def holding(self, shards: Ints) -> AbstractContextManager[None]:
        """Holds such a group: inside, its memory can be read. Never inside another one."""

    def fetch_again(self, shards: Ints) -> bool:
        """Lets shards that look damaged be fetched again, once; False if they were before."""
