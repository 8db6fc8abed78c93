"""Arrays of a value a row: small ones in memory, larger ones in unnamed files mapped into it.

A file without a name is gone with the process, however that ends. The files lie where
`tempfile` puts them; what is mapped, the system takes back when memory is short.
"""

from __future__ import annotations

import contextlib
import math
import mmap
import os
import tempfile
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from convert.os_errors import failure

if TYPE_CHECKING:
    import pyarrow as pa

_MOST_IN_MEMORY = 16 << 20  # bytes of one array
_OFFSET_BYTES = 8
_ROWS_AT_ONCE = 1 << 18

Array = np.ndarray[Any, np.dtype[Any]]


def empty_array(shape: tuple[int, ...], dtype: type) -> Array:
    """Returns an array of zeros.

    Args:
        shape: Its shape.
        dtype: Its type.

    Raises:
        ShardfeedError: It is large, and there is no room for temporary files.
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if size <= _MOST_IN_MEMORY:
        return np.zeros(shape, dtype)
    with _telling_of_room(), tempfile.TemporaryFile() as file:
        os.posix_fallocate(file.fileno(), 0, size)  # a disk that fills later would end the process
        return np.memmap(file, dtype, "w+", shape=shape)


@contextlib.contextmanager
def _telling_of_room() -> Iterator[None]:
    """Turns a failure of temporary files into one that names their folder."""
    try:
        yield
    except OSError as error:
        folder = tempfile.tempdir or os.environ.get("TMPDIR") or "/tmp"
        what = f"{folder}: no room for a large manifest's columns"
        again = "run the same command again, or set TMPDIR to another folder"
        raise failure(error, what, again) from error


def blocks(num_rows: int) -> Iterator[slice]:
    """Yields parts of all rows that are small enough to exist several times over."""
    for start in range(0, num_rows, _ROWS_AT_ONCE):
        yield slice(start, min(num_rows, start + _ROWS_AT_ONCE))


class TextColumn:
    """A column of texts, or of lists of texts, that is made piece by piece.

    A context manager: at its end the files that were made meanwhile close.
    """

    def __init__(self) -> None:
        self._offsets = [_Bytes(), _Bytes()]  # of lists in texts, and of texts in bytes
        for offsets in self._offsets:
            offsets.append(bytes(_OFFSET_BYTES))
        self._text = _Bytes()
        self._ends = [0, 0]
        self._length = 0
        self._is_list = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for part in (*self._offsets, self._text):
            with contextlib.suppress(OSError):  # what a full disk did not take is given up
                part.file.close()

    def append(self, texts: pa.Array) -> None:
        """Adds texts at the end.

        Args:
            texts: large_string, or large_list<large_string>; no nulls; always the same type.

        Raises:
            ShardfeedError: There is no room for temporary files.
        """
        import pyarrow as pa

        self._length += len(texts)
        self._is_list = pa.types.is_large_list(texts.type)
        if self._is_list:
            self._append_offsets(0, texts)
            texts = texts.flatten()
        start, end = self._append_offsets(1, texts)
        if end > start:
            self._text.append(texts.buffers()[2][start:end])

    def finish(self) -> pa.Array:
        """Returns the whole column; nothing can be added after it."""
        import pyarrow as pa

        offsets = self._offsets[1].finish()
        num_texts = offsets.size // _OFFSET_BYTES - 1
        texts = pa.LargeStringArray.from_buffers(num_texts, offsets, self._text.finish())
        if not self._is_list:
            return texts
        lists = [None, self._offsets[0].finish()]
        ends = pa.Array.from_buffers(pa.int64(), self._length + 1, lists)
        return pa.LargeListArray.from_arrays(ends, texts)

    def _append_offsets(self, level: int, array: pa.Array) -> tuple[int, int]:
        """Adds where an array's elements end; returns the part of its content that they are."""
        if not len(array):
            return 0, 0
        offsets = np.frombuffer(array.buffers()[1], np.int64)[array.offset :][: len(array) + 1]
        self._offsets[level].append(offsets[1:] - offsets[0] + self._ends[level])
        start, end = int(offsets[0]), int(offsets[-1])
        self._ends[level] += end - start
        return start, end


class _Bytes:
    """Bytes that grow at their end."""

    def __init__(self) -> None:
        self.file = tempfile.SpooledTemporaryFile(_MOST_IN_MEMORY)  # noqa: SIM115
        self._size = 0

    def append(self, piece: Any) -> None:
        with _telling_of_room():
            self._size += self.file.write(memoryview(piece).cast("B"))

    def finish(self) -> pa.Buffer:
        """Returns all bytes, which outlive the file."""
        import pyarrow as pa

        if self._size <= _MOST_IN_MEMORY:
            self.file.seek(0)
            return pa.py_buffer(self.file.read())
        with _telling_of_room():
            self.file.flush()
        return pa.py_buffer(mmap.mmap(self.file.fileno(), 0, access=mmap.ACCESS_READ))
