"""The records of a finished shard, for our own tools: mapped into memory, any one at a time.

A shard on HDFS is read into memory instead: keep one at a time.
"""

from __future__ import annotations

import errno
import os
from typing import Any

import numpy as np

from convert.errors import FormatError
from convert.format import (
    MAX_VARINT,
    VARINT_BYTES,
    RecordLayout,
    from_padded_varints,
    layout_of_record,
)
from convert.index import SUFFIX, most_bytes, parse_index
from convert.mapping import REPAIR, map_file
from convert.metadata import DatasetInfo, Shard
from convert.storage import filesystem_of, read_text

Bytes = np.ndarray[Any, np.dtype[np.uint8]]
Ints = np.ndarray[Any, np.dtype[Any]]


class ShardRecords:
    """A shard's records; nothing of them is checked but where they start and end.

    Args:
        folder: The dataset's folder.
        info: Its description.
        shard: The shard.
        memory: Where the shard lies. None: it is mapped here.
        index: Content of its index. None: it is read here.

    Attributes:
        memory: The file, mapped or read.

    Raises:
        FormatError: The file or its index is missing, or does not have its size.
        TryAgainError: HDFS fails for a passing reason.
    """

    def __init__(
        self,
        folder: str,
        info: DatasetInfo,
        shard: Shard,
        *,
        memory: Bytes | None = None,
        index: bytes | None = None,
    ) -> None:
        self._num_labels = len(info.outputs)
        self._layout = info.layout if info.is_raw else None
        path = os.path.join(folder, shard.file)
        self.memory = self._open(path, shard.bytes) if memory is None else memory
        if info.is_raw:
            self._starts: Ints = np.arange(shard.records + 1) * info.layout.stride
        else:
            self._starts = _read_index(path + SUFFIX, shard, index)

    def _open(self, path: str, size: int) -> Bytes:
        return map_file(path, size) if filesystem_of(path).is_local else _read_file(path, size)

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

    def _open(self, path: str, size: int) -> Bytes:
        _check_size(path, size)
        self._path = path
        self._last: tuple[int, Bytes] | None = None
        return np.empty(0, np.uint8)

    def __getitem__(self, number: int) -> Bytes:
        """Returns a record's bytes, frame included.

        Raises:
            FormatError: They cannot be read.
            TryAgainError: HDFS fails for a passing reason.
        """
        if self._last is None or self._last[0] != number:
            start, stop = self.byte_range(number, number + 1)
            try:
                content = filesystem_of(self._path).read(self._path, start, stop - start)
            except OSError as error:
                raise _unreadable(self._path, error) from error
            self._last = number, np.frombuffer(content, np.uint8)
        return self._last[1]


def _read_file(path: str, size: int) -> Bytes:
    """Reads a file of HDFS.

    Args:
        path: The file.
        size: What it must be, in bytes.

    Returns:
        Its content, uint8, shape (size,), read-only.
    """
    _check_size(path, size)
    content = np.empty(size, np.uint8)
    start = 0
    try:
        for piece in filesystem_of(path).stream(path, 0, size):
            content[start : start + len(piece)] = np.frombuffer(piece, np.uint8)
            start += len(piece)
    except OSError as error:
        raise _unreadable(path, error) from error
    content.flags.writeable = False
    return content


def _check_size(path: str, size: int) -> None:
    """Raises `FormatError` unless a file of HDFS has its size."""
    try:
        status = filesystem_of(path).status(path)
    except OSError as error:
        raise _unreadable(path, error) from error
    if status is None:
        raise _unreadable(path, FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)))
    if status.is_folder:
        raise _unreadable(path, IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR)))
    if status.size != size:
        raise FormatError(f"{path}: {status.size} bytes, expected {size}. {REPAIR}")


def _unreadable(path: str, error: OSError) -> FormatError:
    return FormatError(f"{path}: cannot be read: {error.strerror}. {REPAIR}")


def _read_index(path: str, shard: Shard, content: bytes | None) -> Ints:
    try:
        content = read_text(path, most_bytes(shard.records)) if content is None else content
        return parse_index(content, shard.records, shard.bytes)
    except OSError as error:
        raise _unreadable(path, error) from error
    except ValueError as error:
        raise FormatError(f"{path}: {error}. {REPAIR}") from error
