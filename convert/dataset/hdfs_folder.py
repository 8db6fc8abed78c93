"""A dataset's folder on HDFS, which cannot be held open: it is checked again after reading."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator

import numpy as np

from convert.dataset.folder import Folder, replaced, require_size, unreadable
from convert.dataset.info import DATASET_JSON
from convert.dataset.mapping import Bytes
from convert.errors import ShardfeedError
from convert.storage.interface import FileSystem, Status


class RemoteFolder(Folder):
    """A dataset's folder on HDFS, told from others by the size and time of its description.

    Args:
        path: Its address.
        files_of: Returns the file system of an address; in each process its own.
    """

    is_local = False

    def __init__(self, path: str, files_of: Callable[[str], FileSystem]) -> None:
        self.path, self._files_of = path, files_of
        self._stamp = self._stamped()

    def open(self, name: str, flags: int = os.O_RDONLY) -> int:
        """Raises `OSError`: nothing of HDFS can be opened; see `Folder`."""
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP), self.file(name))

    def read(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        """Returns a part of a file; see `Folder`."""
        return self._files.read(self.file(name), start, length)

    def stream(self, name: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Yields a part of a file; see `Folder`."""
        return self._files.stream(self.file(name), start, length)

    def map(self, name: str, size: int) -> Bytes:
        """Reads a file; see `Folder`."""
        require_size(self, name, size)
        content, start = np.empty(size, np.uint8), 0
        try:
            for piece in self.stream(name, 0, size):
                content[start : start + len(piece)] = np.frombuffer(piece, np.uint8)
                start += len(piece)
        except OSError as error:
            raise unreadable(self.file(name), error) from error
        content.flags.writeable = False
        return content

    def names(self) -> list[str]:
        """Returns the names of all that is in the folder."""
        return self._files.names(self.path)

    def sizes(self) -> dict[str, int]:
        """Returns the files and their sizes; see `Folder`."""
        return self._files.sizes(self.path)

    def look(self, name: str) -> tuple[str, int]:
        """Returns a file's kind and size; see `Folder`."""
        status = self._status(name)
        if status is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self.file(name))
        return "a folder" * status.is_folder, status.size

    def is_folder(self, name: str) -> bool:
        """Returns whether a folder stands under a name."""
        return self._files.is_folder(self.file(name))

    def is_link(self, name: str) -> bool:
        """Returns False: HDFS has no links."""
        return False

    def change(self) -> ShardfeedError | None:
        """Compares the description that stands there now; see `Folder`."""
        try:
            return None if self._stamped() == self._stamp else replaced(self.path)
        except OSError:
            return None

    def require_current(self) -> None:
        """Checks that no other dataset has come; see `Folder`."""
        changed = self.change()
        if changed is not None:
            raise changed

    @property
    def _files(self) -> FileSystem:
        return self._files_of(self.path)

    def _status(self, name: str) -> Status | None:
        return self._files.status(self.file(name))

    def _stamped(self) -> tuple[int, float] | None:
        status = self._status(DATASET_JSON)
        return None if status is None else (status.size, status.modified)
