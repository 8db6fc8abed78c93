"""Reads the bytes of a shard from front to back, the next ones ahead."""

from __future__ import annotations

import os
from collections.abc import Iterator

from convert.dataset.folder import Folder

_PIECE_BYTES = 1 << 20
_AHEAD_BYTES = 8 << 20  # asked of the disk before it is needed, so that neither waits for the other


class ShardStream:
    """Cuts a part of a shard, which comes in pieces, into whatever is asked for.

    Args:
        folder: The dataset's folder.
        name: The shard's file.
        start: Where reading starts.
        stop: Where it ends at the latest.
    """

    def __init__(self, folder: Folder, name: str, start: int, stop: int) -> None:
        if folder.is_local:
            self._pieces = _local_pieces(folder, name, start, stop)
        else:
            self._pieces = folder.stream(name, start, stop - start)
        self._piece = b""
        self._start = start  # of the piece

    def read(self, offset: int, length: int) -> bytes:
        """Returns bytes of the file.

        Args:
            offset: The first of them; not before the end of the last read.
            length: How many.

        Raises:
            OSError: The file cannot be read, or ends before.
            TryAgainError: HDFS fails for a passing reason.
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


def _local_pieces(folder: Folder, name: str, start: int, stop: int) -> Iterator[bytes]:
    descriptor = folder.open(name)
    try:
        while start < stop:
            if hasattr(os, "posix_fadvise"):
                after = start + _PIECE_BYTES
                os.posix_fadvise(descriptor, after, _AHEAD_BYTES, os.POSIX_FADV_WILLNEED)
            piece = os.pread(descriptor, min(_PIECE_BYTES, stop - start), start)
            if not piece:
                raise OSError(0, "it became shorter while it was read")
            yield piece
            start += len(piece)
    finally:
        os.close(descriptor)
