"""Reads the bytes of a shard from front to back, the next ones ahead."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Protocol

from convert.dataset.folder import Folder

_AHEAD_BYTES = 8 << 20  # asked of the disk before it is needed, so that neither waits for the other
_ASK_BYTES = 256 << 10  # in reads of less than this the disk is asked for nothing


class Reader(Protocol):
    """An open part of a shard."""

    def read(self, offset: int, length: int) -> bytes:
        """Returns bytes of the file.

        Args:
            offset: The first of them; not before the end of the last read.
            length: How many. At least 1.

        Raises:
            OSError: They cannot be read, or the file ends before.
            TryAgainError: HDFS fails for a passing reason.
        """


@contextlib.contextmanager
def open_reader(folder: Folder, name: str, start: int, stop: int) -> Iterator[Reader]:
    """Opens a shard.

    Args:
        folder: The dataset's folder.
        name: The shard's file.
        start: Where reading starts.
        stop: Where it ends at the latest.

    Raises:
        OSError: It cannot be opened.
    """
    if not folder.is_local:
        yield _StreamReader(folder.stream(name, start, stop - start), start)
        return
    descriptor = folder.open(name)
    try:
        yield _LocalReader(descriptor)
    finally:
        os.close(descriptor)


class _LocalReader:
    """Reads a file of this machine."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def read(self, offset: int, length: int) -> bytes:
        """Returns bytes, and has the disk fetch those that come next; see `Reader`."""
        if length >= _ASK_BYTES and hasattr(os, "posix_fadvise"):
            after = offset + length
            os.posix_fadvise(self._descriptor, after, _AHEAD_BYTES, os.POSIX_FADV_WILLNEED)
        data = os.pread(self._descriptor, length, offset)
        while len(data) < length:
            more = os.pread(self._descriptor, length - len(data), offset + len(data))
            if not more:
                raise OSError(0, "it became shorter while it was read")
            data += more
        return data


class _StreamReader:
    """Cuts a stream, which is itself ahead by a piece.

    Args:
        pieces: The stream.
        start: The place in the file of its first byte.
    """

    def __init__(self, pieces: Iterator[bytes], start: int) -> None:
        self._pieces = pieces
        self._piece = b""
        self._start = start  # of the piece

    def read(self, offset: int, length: int) -> bytes:
        """Returns bytes, leaving out those before; see `Reader`.

        The stream itself raises where the file ends too soon.
        """
        parts = []
        while length:
            inside = offset - self._start
            if inside >= len(self._piece):
                self._start += len(self._piece)
                self._piece = next(self._pieces)
                continue
            part = self._piece[inside : inside + length]
            parts.append(part)
            offset, length = offset + len(part), length - len(part)
        return b"".join(parts)
