"""Files: reading sources safely, and making new files appear whole or not at all."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import functools
import hashlib
import json
import os
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from convert.errors import FormatError, ImageError, TryAgainError
from convert.metadata import DATASET_JSON, DatasetInfo
from convert.parser import parse_dataset

WRITE_BYTES = 1 << 20  # small writes are slow on network disks
PART = ".part-"
"""Stands in the name of a file that `write_file` has not finished."""

_READ_TRIES = 3
_RENAME_NOREPLACE, _RENAME_EXCHANGE = 1, 2  # linux/fs.h
_AT_FDCWD = -100  # linux/fcntl.h

_BAD_SOURCE = {
    errno.ENOENT: ("missing", "no such file"),
    errno.ENOTDIR: ("missing", "a folder of its path is a file"),
    errno.ENAMETOOLONG: ("missing", "its path is too long"),
    errno.EACCES: ("unreadable", "permission denied"),
    errno.EPERM: ("unreadable", "permission denied"),
    errno.ELOOP: ("not_a_file", "its links form a loop"),
    errno.ENXIO: ("not_a_file", "a socket or a device without a reader"),
}


class SourceReader:
    """Reads the manifest's files below one root.

    Args:
        root: The folder; paths and links that lead out of it are refused.
        max_bytes: Size above which a file is refused unread. None: no limit.
    """

    def __init__(self, root: str, max_bytes: int | None = None) -> None:
        self._max_bytes = max_bytes
        self._root = os.path.realpath(root)
        self._inside = os.path.join(self._root, "")
        # Resolving a folder costs a system call a component; a manifest has few folders.
        self._folder = functools.lru_cache(maxsize=4096)(self._resolve)

    def read(self, path: str) -> bytes:
        """Returns a whole source file.

        Raises:
            ImageError: It is missing, no regular file, outside the root or unreadable.
            TryAgainError: The disk failed several times.
        """
        for attempt in range(_READ_TRIES):
            try:
                return self._read(path)
            except ValueError as error:
                raise ImageError("missing", "its path has a null byte") from error
            except OSError as error:
                if error.errno in _BAD_SOURCE:
                    reason, detail = _BAD_SOURCE[error.errno]
                    raise ImageError(reason, detail) from error  # type: ignore[arg-type]
                failure = error
                time.sleep(0.1 * 4**attempt)
        raise TryAgainError(
            f"{path}: cannot be read: {failure.strerror}. Run the same command again."
        ) from failure

    def _read(self, path: str) -> bytes:
        folder, slash, name = path.rpartition("/")
        if name in ("", ".", ".."):
            raise ImageError("not_a_file", "a folder, expected an image file")
        full = self._folder(folder + slash) + name
        status = os.lstat(full)
        if stat.S_ISLNK(status.st_mode):
            full = self._require_inside(os.path.realpath(full))
            status = os.lstat(full)
        self._require_file(status)  # before it is opened: opening a device can act on it
        descriptor = os.open(full, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            status = os.fstat(descriptor)
            self._require_file(status)
            if self._max_bytes is not None and status.st_size > self._max_bytes:
                raise ImageError(
                    "too_large", f"{status.st_size} bytes are more than {self._max_bytes}"
                )
            return _read_all(descriptor, status.st_size)
        finally:
            os.close(descriptor)

    def _resolve(self, folder: str) -> str:
        """Returns a folder of the manifest, without links, with a slash at its end."""
        return self._require_inside(
            os.path.join(os.path.realpath(os.path.join(self._root, folder)), "")
        )

    def _require_inside(self, path: str) -> str:
        if not path.startswith(self._inside):
            raise ImageError("outside_root", "its path leads out of --root")
        return path

    @staticmethod
    def _require_file(status: os.stat_result) -> None:
        if not stat.S_ISREG(status.st_mode):
            kind = "a folder" if stat.S_ISDIR(status.st_mode) else "a pipe, socket or device"
            kind = "a link to itself" if stat.S_ISLNK(status.st_mode) else kind
            raise ImageError("not_a_file", f"{kind}, expected an image file")


def _read_all(descriptor: int, size: int) -> bytes:
    """Returns the rest of a file that is expected to have `size` bytes."""
    data = os.read(descriptor, size + 1)
    if len(data) == size:
        return data  # one byte more was asked for: this is the end
    pieces = [data]
    while pieces[-1]:
        pieces.append(os.read(descriptor, WRITE_BYTES))
    return b"".join(pieces)


def read_dataset(path: str) -> DatasetInfo:
    """Reads a dataset folder's `dataset.json`.

    Raises:
        FormatError: There is none, or it is not valid.
    """
    where = os.path.join(path, DATASET_JSON)
    try:
        text = Path(where).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise FormatError(f"{where}: not UTF-8 text. Convert again.") from error
    except OSError as error:
        if not os.path.isdir(path):
            problem = "no such dataset folder. Make it with `convert MANIFEST DATASET`"
        elif isinstance(error, FileNotFoundError):
            problem = (
                f"no {DATASET_JSON} in it, so it is no finished dataset. "
                "Make it with `convert MANIFEST DATASET`"
            )
        else:
            problem = f"cannot read its {DATASET_JSON}: {error.strerror}"
        raise FormatError(f"{path}: {problem}.") from error
    return parse_dataset(text, where)


def sha256_file(path: str) -> str:
    """Returns a file's digest in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync_folder(path: str) -> None:
    """Makes a folder's entries survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_file(path: str, text: str) -> None:
    """Writes a text file so that it is there whole or not at all, replacing an older one."""
    part = f"{path}{PART}{os.getpid()}"
    with open(part, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)
    sync_folder(os.path.dirname(path) or ".")


def write_json(path: str, value: Any) -> None:
    """Writes a JSON file as `write_file` does."""
    write_file(path, json.dumps(value, ensure_ascii=False, indent=1) + "\n")


def publish(part: str, path: str) -> bool:
    """Moves a finished file to its final name, never over another.

    Returns:
        False, and the part is gone, if the name was taken.
    """
    try:
        _rename_no_replace(part, path)
    except FileExistsError:
        os.unlink(part)
        return False
    sync_folder(os.path.dirname(path))
    return True


def exchange(first: str, second: str) -> None:
    """Swaps two folders' names, in one step where the file system can."""
    if not _renameat2(first, second, _RENAME_EXCHANGE):
        aside = f"{first}.aside"
        os.rename(second, aside)
        os.rename(first, second)
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
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                on_wait()
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            # The holder before us removed the file: a third process may have made a new one.
            if _same_file(descriptor, path):
                try:
                    yield
                finally:
                    if _same_file(descriptor, path):  # a user may have removed it
                        os.unlink(path)
                return
        finally:
            os.close(descriptor)


def _same_file(descriptor: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False
