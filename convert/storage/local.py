"""Local disks: new files appear whole or not at all, and nothing is replaced by accident."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import functools
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from convert.command.signals import undone_by_signals
from convert.errors import FormatError
from convert.storage.interface import WRITE_BYTES, FileSystem, PassedOver, Status
from convert.storage.regular_files import (
    IrregularFileError,
    open_regular,
    read_part,
    regular_sizes,
    stream_part,
)

PART = ".part-"
"""Stands in the name of a file that `write_file` has not finished."""

_RENAME_NOREPLACE, _RENAME_EXCHANGE = 1, 2  # linux/fs.h
_AT_FDCWD = -100  # linux/fcntl.h


class LocalFileSystem(FileSystem):
    """The disks of this machine."""

    is_local = True

    def read(self, path: str, start: int = 0, length: int | None = None) -> bytes:
        """Returns a part of a file; see `FileSystem`."""
        with open(path, "rb", opener=open_regular) as file:
            return read_part(file, start, length)

    def stream(self, path: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Yields a part of a file; see `FileSystem`."""
        with open(path, "rb", buffering=0, opener=open_regular) as file:
            yield from stream_part(file, start, length)

    @contextlib.contextmanager
    def create(self, path: str) -> Iterator[BinaryIO]:
        """Makes a new file; see `FileSystem`."""
        with open(path, "xb", buffering=WRITE_BYTES) as file:
            try:
                yield file
                size = file.tell()
                file.flush()
                os.fsync(file.fileno())
                kept = os.fstat(file.fileno()).st_size
                if kept != size:
                    raise OSError(errno.EIO, f"the disk kept {kept} of {size} bytes", path)
            except BaseException:
                os.unlink(path)
                raise

    def replace(self, path: str, content: bytes) -> None:
        """Writes a small file whole or not at all; see `FileSystem`."""
        write_bytes(path, content)

    def together(self, *works: Callable[[], object]) -> None:
        """Does things one after the other; see `FileSystem`."""
        for work in works:
            work()

    def publish(self, part: str, path: str) -> bool:
        """Moves a file to its name; see `FileSystem`."""
        try:
            _rename_no_replace(part, path)
        except FileExistsError:
            os.unlink(part)
            return False
        sync_folder(os.path.dirname(path))
        return True

    def move(self, folder: str, target: str) -> None:
        """Renames a folder; see `FileSystem`."""
        try:
            os.rename(folder, target)
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.ENOTDIR):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target) from error
            raise
        sync_folder(os.path.dirname(os.path.abspath(target)))

    def names(self, folder: str) -> list[str]:
        """Returns the names in a folder."""
        return os.listdir(folder)

    def sizes(self, folder: str) -> dict[str, int]:
        """Returns the files in a folder and their sizes."""
        return regular_sizes(folder)

    def files_below(
        self, folder: str, on_passed: Callable[[PassedOver], object] = lambda kind: None
    ) -> Iterator[str]:
        """Yields the paths of all files below a folder; see `FileSystem`."""
        for parent, folders, files in os.walk(folder, onerror=_raise):
            for name in (*folders, *files):
                if name.startswith("."):
                    on_passed("hidden")
            folders[:] = [name for name in folders if not name.startswith(".")]
            for name in folders:
                if os.path.islink(os.path.join(parent, name)):  # os.walk does not follow it
                    on_passed("linked")
            for name in files:
                if not name.startswith("."):
                    yield Path(parent, name).relative_to(folder).as_posix()

    def status(self, path: str) -> Status | None:
        """Returns the status of a path; see `FileSystem`."""
        try:
            found = os.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            if error.errno == errno.ELOOP:  # links that lead to each other, and nowhere
                return None
            raise
        is_folder = stat.S_ISDIR(found.st_mode)
        size = 0 if is_folder else found.st_size
        return Status(is_folder=is_folder, size=size, modified=found.st_mtime)

    def make_folder(self, path: str) -> None:
        """Makes a folder and those above it."""
        os.makedirs(path, exist_ok=True)

    def remove(self, path: str) -> None:
        """Deletes a file or an empty folder, if there is one."""
        with contextlib.suppress(FileNotFoundError):
            if os.path.isdir(path) and not os.path.islink(path):
                os.rmdir(path)
            else:
                os.unlink(path)

    def remove_tree(self, path: str) -> None:
        """Deletes a folder, as far as possible."""
        shutil.rmtree(path, ignore_errors=True)


def _raise(error: OSError) -> None:
    raise error


def sync_folder(path: str) -> None:
    """Makes a folder's entries survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_file(path: str, text: str) -> None:
    """Writes a text file so that it is there whole or not at all, replacing an older one."""
    write_bytes(path, text.encode())


def write_bytes(path: str, content: bytes) -> None:
    """Does the same for a file that is no text."""
    part = f"{path}{PART}{os.getpid()}"
    with open(part, "wb", opener=open_regular) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)
    sync_folder(os.path.dirname(path) or ".")


def exchange(first: str, second: str) -> None:
    """Swaps two folders' names, in one step where the file system can."""
    if not _renameat2(first, second, _RENAME_EXCHANGE):
        aside = f"{first}.aside"
        os.rename(second, aside)
        try:
            os.rename(first, second)
        except OSError:
            os.rename(aside, second)
            raise
        os.rename(aside, first)


def _rename_no_replace(source: str, target: str) -> None:
    """Renames a file; `os.rename` would replace an existing target without a word."""
    if not _renameat2(source, target, _RENAME_NOREPLACE):
        os.link(source, target)
        os.unlink(source)


def _renameat2(source: str, target: str, flags: int) -> bool:
    """Calls renameat2(2).

    Returns:
        False if this system or file system does not know the call or the flags.

    Raises:
        OSError: The rename failed for another reason.
    """
    call = getattr(_libc(), "renameat2", None)
    if call is None:
        return False
    if call(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), flags) == 0:
        return True
    code = ctypes.get_errno()
    if code in (errno.EINVAL, errno.ENOSYS):
        return False
    raise OSError(code, os.strerror(code), target)


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def locked(path: str, on_wait: Callable[[], None]) -> Iterator[None]:
    """Holds an exclusive lock file; the kernel releases it when the process dies.

    Args:
        path: The lock file, made and removed here.
        on_wait: Called once if another process holds the lock.

    Raises:
        FormatError: Something else stands in its place.
    """
    while True:
        descriptor = _open_lock(path)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                on_wait()
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            # The holder before us removed the file: a third process may have made a new one.
            if _same_file(descriptor, path):
                remove = functools.partial(_remove_ours, descriptor, path)
                try:
                    with undone_by_signals(remove):
                        yield
                finally:
                    remove()
                return
        finally:
            os.close(descriptor)


def _remove_ours(descriptor: int, path: str) -> None:
    if _same_file(descriptor, path):  # a user may have removed it
        os.unlink(path)


def _open_lock(path: str) -> int:
    """Opens a lock file; a link or a pipe in its place stays there until a user looks at it."""
    try:
        return open_regular(path, os.O_RDWR | os.O_CREAT)
    except (IrregularFileError, IsADirectoryError) as error:
        raise FormatError(
            f"{path}: {error.strerror}. Remove it, then run the same command again."
        ) from error


def _same_file(descriptor: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False
