"""Records at random: shards mapped into memory and gathered into batches.

A shard with raw images is an ordinary TFRecord file and, since all its records have one length,
also an array. Reading record k is arithmetic and one copy.
"""

from __future__ import annotations

import mmap
import os
import sys
from typing import Any

import numpy as np

from convert.format import VARINT_BYTES, RecordLayout, from_padded_varints
from convert.metadata import DatasetInfo, Shard
from train.errors import FormatError, RecordError, UsageError

Bytes = np.ndarray[Any, np.dtype[np.uint8]]
Ints = np.ndarray[Any, np.dtype[np.int64]]
Labels = np.ndarray[Any, np.dtype[np.int32]]

ALIGNMENT = 64
"""TensorFlow takes arrays that start at a multiple of this without copying them."""

_BUFFERS_KEPT = 8  # more than a pipeline holds at one time; the rest is given back


class RecordReader:
    """Reads the records of one split in any order.

    Args:
        path: The dataset's folder.
        info: Its `dataset.json`.
        split: Name of the split.

    Attributes:
        num_records: Records of the split.
        shard_records: Records of each shard.
        image_shape: (height, width, channels) of every image.
        failure: The error that stopped the last `gather`, for callers behind a layer that
            swallows exceptions.

    Raises:
        UsageError: There is no such split, or it is empty.
        FormatError: A shard is missing or does not have its size.
        RecordError: The first or last record of a shard is not one of this dataset.
    """

    def __init__(self, path: str, info: DatasetInfo, split: str) -> None:
        if split not in info.splits:
            present = ", ".join(info.splits)
            raise UsageError(f"{path}: no split {split!r}; the dataset has {present}.")
        self._info = info
        self._path = path
        self._shards = info.splits[split]
        self.shard_records = [shard.records for shard in self._shards]
        self.num_records = sum(self.shard_records)
        self.image_shape = info.image_shape
        self.failure: Exception | None = None
        if not self.num_records:
            raise UsageError(f"{path}: the split {split!r} has no records.")
        self._starts = np.cumsum([0, *self.shard_records])
        self._unchecked = np.ones(self.num_records, bool)
        self._buffers = Buffers()
        self._open_shards()

    def _open_shards(self) -> None:
        """Maps the shards into memory."""
        layout = self._info.layout
        self._records = [_map_shard(self._path, shard, layout) for shard in self._shards]
        image = slice(layout.image_offset, layout.image_offset + layout.image_bytes)
        label = slice(layout.label_offset, layout.label_offset + VARINT_BYTES * layout.num_labels)
        self._images = [shard[:, image] for shard in self._records]
        self._labels = [shard[:, label] for shard in self._records]

    def gather(self, records: Ints) -> tuple[Bytes, Labels]:
        """Returns the images and labels of some records.

        The first time a record is read, its CRC is checked.

        Args:
            records: Record numbers in [0, num_records), shape (batch,).

        Returns:
            images: uint8, shape (batch, height, width, channels), 64-byte aligned. The memory is
                used again when nothing refers to the array any more.
            labels: int32, shape (batch, outputs).

        Raises:
            RecordError: A record is damaged.
        """
        try:
            return self._gather(records)
        except Exception as error:
            self.failure = error
            raise

    def rows(self, records: Ints) -> Ints:
        """Returns the manifest rows of some records."""
        found = self._find(records)
        return np.array([self._row(shard, place) for shard, place in found], np.int64)

    def _gather(self, records: Ints) -> tuple[Bytes, Labels]:
        layout = self._info.layout
        if self._unchecked[records].any():
            self._check(records)
        images = self._buffers.take(len(records) * layout.image_bytes).reshape(len(records), -1)
        found = self._find(records)
        # A plain loop: a copy of a whole image outweighs a step of Python, and fancy indexing
        # would copy twice, since a batch's records of one shard are not neighbours in it.
        for index, (shard, place) in enumerate(found):
            images[index] = self._images[shard][place]
        varints = np.concatenate([self._labels[shard][place] for shard, place in found])
        labels = from_padded_varints(varints.reshape(len(records), -1))
        return images.reshape(-1, *self._info.image_shape), labels.astype(np.int32)

    def _find(self, records: Ints) -> list[tuple[int, int]]:
        """Returns the shard of each record and its place in it."""
        shards = np.searchsorted(self._starts, records, side="right") - 1
        places = records - self._starts[shards]
        return list(zip(shards.tolist(), places.tolist(), strict=True))

    def _row(self, shard: int, place: int) -> int:
        """Returns the manifest row of a record."""
        start = self._info.layout.row_offset
        varint = self._records[shard][place][start : start + VARINT_BYTES]
        return int(from_padded_varints(varint)[0])

    def _check(self, records: Ints) -> None:
        """Compares the CRC of each record that was not read before."""
        layout = self._info.layout
        numbers = records[self._unchecked[records]]
        found = self._find(numbers)
        for number, (shard, place) in zip(numbers.tolist(), found, strict=True):
            record = self._records[shard][place]
            if not (layout.matches(record) and layout.crc_ok(record)):
                raise RecordError(f"{self._where(number)} is damaged: its CRC is wrong. {REPAIR}")
        num_classes = np.array([len(classes) for classes in self._info.classes.values()])
        varints = np.stack([self._labels[shard][place] for shard, place in found])
        bad = (from_padded_varints(varints) >= num_classes).any(axis=1)
        if bad.any():
            number = int(numbers[bad][0])
            raise RecordError(f"{self._where(number)} has a label out of range. {REPAIR}")
        self._unchecked[records] = False

    def _where(self, number: int) -> str:
        shard = int(np.searchsorted(self._starts, number, side="right")) - 1
        row = int(self.rows(np.array([number]))[0])
        path = os.path.join(self._path, self._shards[shard].file)
        return f"{path}: record {number - self._starts[shard]} (manifest row {row})"


REPAIR = "Restore the file from a copy, or convert again with --overwrite."


class Buffers:
    """Memory for batches, used again when its last batch is gone.

    New memory costs a page fault every 4 KiB, as much as filling it.
    """

    def __init__(self) -> None:
        self._owners: list[Bytes] = []

    def take(self, size: int) -> Bytes:
        """Returns `size` aligned bytes that nothing else refers to."""
        for owner in self._owners:
            # The list, the loop variable and the argument: no array outside uses this memory.
            if len(owner) == size + ALIGNMENT and sys.getrefcount(owner) == 3:
                return _aligned(owner, size)
        owner = np.empty(size + ALIGNMENT, np.uint8)
        if len(self._owners) >= _BUFFERS_KEPT:
            self._owners.pop(0)
        self._owners.append(owner)
        return _aligned(owner, size)


def _aligned(owner: Bytes, size: int) -> Bytes:
    start = -owner.ctypes.data % ALIGNMENT
    return owner[start : start + size]


def _map_shard(path: str, shard: Shard, layout: RecordLayout) -> Bytes:
    """Returns a shard as uint8, shape (records, stride); nothing is read yet but two records."""
    where = os.path.join(path, shard.file)
    try:
        with open(where, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size != shard.bytes:
                raise FormatError(f"{where}: {size} bytes, expected {shard.bytes}. {REPAIR}")
            if not size:
                return np.empty((0, layout.stride), np.uint8)
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise FormatError(f"{where}: cannot be read: {error.strerror}. {REPAIR}") from error
    records = np.frombuffer(mapped, np.uint8).reshape(shard.records, layout.stride)
    for place in (0, shard.records - 1):
        if not layout.matches(records[place]):
            raise RecordError(f"{where}: record {place} is not one of this dataset. {REPAIR}")
    return records
