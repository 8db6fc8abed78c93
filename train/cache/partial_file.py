"""A file of the cache while it is fetched."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator

from convert.command.byte_sizes import show_bytes
from convert.os_errors import kind_of

SUFFIX = ".part"


class Part:
    """A file that is being written; locked, so that nobody else writes or removes it.

    Made and published under the folder's lock, where others look for parts of the dead.

    Args:
        path: Its place; it must not exist.
        target: Its name when it is whole.
        size: Its size, which it takes at once.

    Raises:
        TryAgainError: The disk has no room for it.
    """

    def __init__(self, path: str, target: str, size: int) -> None:
        self._path, self._target, self._size = path, target, size
        with self._told():
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            self._descriptor = os.open(path, flags, 0o666)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
            with self._told():
                os.posix_fallocate(self._descriptor, 0, size)
        except BaseException:
            self.remove()
            raise

    def write(self, piece: bytes) -> None:
        """Adds bytes at the end.

        Raises:
            TryAgainError: The disk failed.
        """
        rest = memoryview(piece)
        with self._told():
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]

    def rewind(self) -> None:
        """Goes back to the start."""
        os.lseek(self._descriptor, 0, os.SEEK_SET)

    def sync(self) -> None:
        """Makes what was written safe.

        Raises:
            TryAgainError: The disk failed.
        """
        with self._told():
            os.fsync(self._descriptor)

    def publish(self) -> int:
        """Gives the file its name; returns its descriptor, which holds a shared lock on it."""
        # On the way to a shared lock there is a moment without any.
        fcntl.flock(self._descriptor, fcntl.LOCK_SH)
        os.replace(self._path, self._target)
        return self._descriptor

    def remove(self) -> None:
        """Gives the file up."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)
        os.close(self._descriptor)

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Turns an error of a failing or full disk into one line."""
        try:
            yield
        except OSError as error:
            folder = os.path.dirname(os.path.dirname(self._path))
            raise kind_of(error)(
                f"{folder}: cannot keep a shard of {show_bytes(self._size)}: {error.strerror}. "
                "Free space, give less with --cache-bytes, or name another disk with --cache; "
                "then run the same command again."
            ) from error
