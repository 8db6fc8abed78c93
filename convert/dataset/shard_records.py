"""The records of a finished shard, for our own tools: mapped into memory, any one at a time.

A shard on HDFS is read into memory instead: keep one at a time.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from convert.dataset.folder import Folder, require_size, unreadable
from convert.dataset.index import SUFFIX, most_bytes, parse_index
from convert.dataset.info import DatasetInfo, Shard
from convert.dataset.mapping import REPAIR
from convert.dataset.record import (
    MAX_VARINT,
    VARINT_BYTES,
    RecordLayout,
    from_padded_varints,
    layout_of_record,
)
from convert.errors import FormatError

Bytes = np.ndarray[Any, np.dtype[np.uint8]]
Ints = np.ndarray[Any, np.dtype[Any]]


class ShardRecords:
    """A shard's records; nothing of them is checked but where they start and end.

    Args:
        folder: The dataset's folder.
        info: Its description.
        shard: The shard.
        memory: Where the shard lies. None: it is mapped here.
        starts: What `open_index` returns. None: it is read here.

    Attributes:
        memory: The file, mapped or read.

    Raises:
        FormatError: The file or its index is missing, or does not have its size.
        ReplacedError: They may be of another dataset that came on HDFS.
        TryAgainError: HDFS fails for a passing reason.
    """

    def __init__(
        self,
        folder: Folder,
        info: DatasetInfo,
        shard: Shard,
        *,
        memory: Bytes | None = None,
        starts: Ints | None = None,
    ) -> None:
        self._num_labels = len(info.outputs)
        self._layout = info.layout if info.is_raw else None
        self.memory = self._open(folder, shard) if memory is None else memory
        if info.is_raw:
            self._starts: Ints = np.arange(shard.records + 1) * info.layout.stride
        else:
            self._starts = open_index(folder, shard) if starts is None else starts
        if memory is None:
            folder.require_current()

    def _open(self, folder: Folder, shard: Shard) -> Bytes:
        return folder.map(shard.file, shard.bytes)

    def __len__(self) -> int:
        return len(self._starts) - 1

    def __getitem__(self, number: int) -> Bytes:
        """Returns a record's bytes, frame included."""
        return self.memory[self._starts[number] : self._starts[number + 1]]

    def byte_range(self, start: int, stop: int) -> tuple[int, int]:
        """Returns where the records [start, stop) begin and end in the file."""
        return int(self._starts[start]), int(self._starts[stop])

    def layout(self, number: int) -> RecordLayout:
        """Returns where everything lies in a record.

        Raises:
            ValueError: No record has its length.
        """
        if self._layout is not None:
            return self._layout
        length = int(self._starts[number + 1] - self._starts[number])
        return layout_of_record(self._num_labels, length)

    def image(self, number: int) -> bytes:
        """Returns the content of a record's image."""
        layout = self.layout(number)
        start = layout.image_offset
        return self[number][start : start + layout.image_bytes].tobytes()

    def labels(self, number: int) -> Ints:
        """Returns a record's class indices, int64, shape (outputs,)."""
        return from_padded_varints(self.label_bytes(number))

    def labels_of(self, numbers: Ints) -> Ints:
        """Returns the labels of many records as they stand there, in a few calls of NumPy.

        Args:
            numbers: Of the records, shape (batch,).

        Returns:
            Class indices, int64, shape (batch, outputs); where no record can be, `MAX_VARINT`.
        """
        starts = self._starts[numbers]
        lengths, which = np.unique(self._starts[numbers + 1] - starts, return_inverse=True)
        offsets = np.array([self._label_offset(length) for length in lengths.tolist()], np.int64)
        offsets = offsets[which]
        labels = np.full((len(numbers), self._num_labels), MAX_VARINT, np.int64)
        found = offsets >= 0
        places = (starts + offsets)[found, None] + np.arange(VARINT_BYTES * self._num_labels)
        labels[found] = from_padded_varints(self.memory[places])
        return labels

    def _label_offset(self, length: int) -> int:
        """Returns where in a record of some length its labels start; -1 if there is no such."""
        try:
            return layout_of_record(self._num_labels, length).label_offset
        except ValueError:
            return -1

    def label_bytes(self, number: int) -> Bytes:
        """Returns a record's class indices as padded varints."""
        start = self.layout(number).label_offset
        return self[number][start : start + VARINT_BYTES * self._num_labels]

    def row(self, number: int) -> int:
        """Returns the manifest row that a record comes from."""
        start = self.layout(number).row_offset
        return int(from_padded_varints(self[number][start : start + VARINT_BYTES])[0])


class FewRecords(ShardRecords):
    """The records of a shard on HDFS, each read when it is asked for; its `memory` is empty."""

    def _open(self, folder: Folder, shard: Shard) -> Bytes:
        self._folder, self._file = folder, shard.file
        require_size(folder, shard.file, shard.bytes)
        self._last: tuple[int, Bytes] | None = None
        return np.empty(0, np.uint8)

    def __getitem__(self, number: int) -> Bytes:
        """Returns a record's bytes, frame included.

        Raises:
            FormatError: They cannot be read.
            ReplacedError: They may be of another dataset.
            TryAgainError: HDFS fails for a passing reason.
        """
        if self._last is None or self._last[0] != number:
            start, stop = self.byte_range(number, number + 1)
            try:
                content = self._folder.read(self._file, start, stop - start)
            except OSError as error:
                raise unreadable(self._folder.file(self._file), error) from error
            self._folder.require_current()
            self._last = number, np.frombuffer(content, np.uint8)
        return self._last[1]


def read_index(folder: Folder, shard: Shard, *, is_hashed: bool) -> Ints:
    """Reads a shard's index.

    Args:
        folder: The dataset's folder.
        shard: The shard.
        is_hashed: Compare its sha256 as well.

    Returns:
        int64, shape (records + 1,): the records' offsets, and the shard's end.

    Raises:
        OSError: It is missing or cannot be read.
        ValueError: It is not the shard's; the message says why.
    """
    text = folder.read_text(shard.file + SUFFIX, most_bytes(shard.records))
    if is_hashed and hashlib.sha256(text).hexdigest() != shard.index_sha256:
        raise ValueError("its sha256 differs")
    return parse_index(text, shard.records, shard.bytes)


def open_index(folder: Folder, shard: Shard, *, is_hashed: bool = False) -> Ints:
    """Reads a shard's index as `read_index`; a `FormatError` says why that fails."""
    path = folder.file(shard.file + SUFFIX)
    try:
        return read_index(folder, shard, is_hashed=is_hashed)
    except OSError as error:
        raise unreadable(path, error) from error
    except ValueError as error:
        raise FormatError(f"{path}: {error}. {REPAIR}") from error
