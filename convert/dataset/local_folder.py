"""A local folder, held open by a descriptor: a rename cannot exchange it during reading."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import weakref
from collections.abc import Iterator

from convert.dataset.folder import Folder, replaced
from convert.dataset.mapping import Bytes, map_file
from convert.errors import FormatError, ShardfeedError
from convert.storage.regular_files import (
    file_kind,
    open_regular,
    read_part,
    regular_sizes,
    stream_part,
)

_OPEN_FOLDER = os.O_DIRECTORY | os.O_CLOEXEC
_HOLD_FOLDER = _OPEN_FOLDER | getattr(os, "O_PATH", os.O_RDONLY)  # asks for no right to list it


class LocalFolder(Folder):
    """A folder of this machine, held by one descriptor as long as somebody refers to it.

    Args:
        path: The folder; a link to it is followed once, here.

    Raises:
        OSError: There is none, or it may not be opened.
    """

    is_local = True

    def __init__(self, path: str) -> None:
        self.path = path
        # The process may go elsewhere. `abspath` would take `..` after a link for another folder.
        self._place = path if os.path.isabs(path) else os.path.join(os.getcwd(), path)
        self._descriptor: int | None = os.open(path, _HOLD_FOLDER)
        weakref.finalize(self, os.close, self._descriptor).atexit = False
        self._identity = _identity(os.fstat(self._descriptor))

    def __getstate__(self) -> tuple[str, str, tuple[int, int]]:
        return self.path, self._place, self._identity

    def __setstate__(self, state: tuple[str, str, tuple[int, int]]) -> None:
        """Opens the folder in another process; one that has its name only is not opened."""
        self.path, self._place, self._identity = state
        self._descriptor = None
        with contextlib.suppress(OSError):  # told when a file is asked for
            descriptor = os.open(self._place, _HOLD_FOLDER)
            if _identity(os.fstat(descriptor)) != self._identity:
                os.close(descriptor)
                return
            self._descriptor = descriptor
            weakref.finalize(self, os.close, descriptor).atexit = False

    def open(self, name: str, flags: int = os.O_RDONLY) -> int:
        """Opens a regular file; see `Folder`."""
        try:
            return open_regular(name, flags, folder=self._held())
        except OSError as error:
            error.filename = self.file(name)
            raise

    def _opener(self, path: str, flags: int) -> int:
        return self.open(os.path.basename(path), flags)

    def read(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        """Returns a part of a file; see `Folder`."""
        with open(self.file(name), "rb", opener=self._opener) as file:
            return read_part(file, start, length)

    def stream(self, name: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Yields a part of a file; see `Folder`."""
        with open(self.file(name), "rb", buffering=0, opener=self._opener) as file:
            yield from stream_part(file, start, length)

    def map(self, name: str, size: int) -> Bytes:
        """Maps a file into memory; see `Folder`."""
        return map_file(self.file(name), size, self._opener)

    def names(self) -> list[str]:
        """Returns the names of all that is in the folder."""
        with self._listed() as descriptor:
            return os.listdir(descriptor)

    def sizes(self) -> dict[str, int]:
        """Returns the files and their sizes; see `Folder`."""
        with self._listed() as descriptor:
            return regular_sizes(descriptor)

    def look(self, name: str) -> tuple[str, int]:
        """Returns a file's kind and size; see `Folder`."""
        os.stat(name, dir_fd=self._held())  # a link that leads nowhere is a missing file
        found = os.lstat(name, dir_fd=self._held())
        return file_kind(found), found.st_size

    def is_folder(self, name: str) -> bool:
        """Returns whether a folder stands under a name."""
        try:
            return stat.S_ISDIR(os.stat(name, dir_fd=self._held()).st_mode)
        except OSError:
            return False

    def is_link(self, name: str) -> bool:
        """Returns whether a link stands under a name."""
        try:
            return stat.S_ISLNK(os.lstat(name, dir_fd=self._held()).st_mode)
        except OSError:
            return False

    def change(self) -> ShardfeedError | None:
        """Compares the folder with what stands under its name; see `Folder`."""
        try:
            if _identity(os.stat(self._place)) == self._identity:
                return None
        except (FileNotFoundError, NotADirectoryError):
            return FormatError(
                f"{self.path}: was moved or deleted while it was read. Name its new place, or "
                "restore it."
            )
        except OSError:
            return None
        return replaced(self.path)

    def require_current(self) -> None:
        """Does nothing: whatever is opened is of the folder that is held."""

    def _held(self) -> int:
        if self._descriptor is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self.path)
        return self._descriptor

    @contextlib.contextmanager
    def _listed(self) -> Iterator[int]:
        """Lends a descriptor to list the folder by; each has a position of its own."""
        try:
            descriptor = os.open(".", _OPEN_FOLDER | os.O_RDONLY, dir_fd=self._held())
        except OSError as error:
            error.filename = self.path
            raise
        try:
            yield descriptor
        finally:
            os.close(descriptor)


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino
