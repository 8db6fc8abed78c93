"""Reading the files of our own folders: regular ones only, and never what a link leads to.

A folder may come from a stranger. A link in it would have us write into the user's own files, and
a pipe would let us wait for ever.
"""

from __future__ import annotations

import errno
import io
import os
import stat
import sys
from collections.abc import Iterator
from typing import BinaryIO

from convert.storage.interface import PIECE_BYTES

_FLAGS = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_IN_PLACE = os.O_WRONLY | os.O_APPEND | os.O_TRUNC  # whoever only locks a file opens it O_RDWR


class IrregularFileError(OSError):
    """What stands there is no file that we made; waiting does not change that."""


def open_regular(path: str, flags: int, *, folder: int | None = None) -> int:
    """Opens a regular file; as `open(path, mode, opener=open_regular)` it serves every mode.

    Args:
        path: The file. Folders on the way to it may be links, the file itself may not.
        flags: Those of `os.open`. What shall be written in place must have no other name: by a
            hard link it is also somebody else's file.
        folder: Descriptor of the folder that `path` starts from. None: the working folder.

    Returns:
        A descriptor.

    Raises:
        IrregularFileError: A link, a folder, a pipe, a socket or a device is there, or a file of
            several names that shall be written.
        OSError: It cannot be opened.
    """
    try:
        _require_regular(
            os.lstat(path, dir_fd=folder), path
        )  # first: opening a device can act on it
    except FileNotFoundError:
        if not flags & os.O_CREAT:
            raise
    descriptor = os.open(path, flags & ~os.O_TRUNC | _FLAGS, 0o666, dir_fd=folder)
    try:
        found = os.fstat(descriptor)
        _require_regular(found, path)
        if flags & _IN_PLACE and found.st_nlink > 1:
            problem = f"{several_names(found)}, expected one of its own"
            raise IrregularFileError(errno.EMLINK, problem, path)
        if flags & os.O_TRUNC:
            os.ftruncate(descriptor, 0)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def read_part(file: BinaryIO, start: int, length: int | None) -> bytes:
    """Returns a part of an open file; see `FileSystem.read`."""
    file.seek(start)
    content = file.read(-1 if length is None else length)
    if length is not None and len(content) != length:
        raise OSError(errno.EIO, f"ends after {start + len(content)} bytes", file.name)
    return content


def stream_part(file: io.FileIO, start: int, length: int | None) -> Iterator[bytes]:
    """Yields a part of an open file in pieces; see `FileSystem.stream`."""
    left = sys.maxsize if length is None else length
    file.seek(start)
    while piece := file.read(min(PIECE_BYTES, left)):
        left -= len(piece)
        yield piece
    if length is not None and left:
        raise OSError(errno.EIO, f"ends after {start + length - left} bytes", file.name)


def regular_sizes(folder: str | int) -> dict[str, int]:
    """Returns the names of a folder's regular files, and their bytes.

    Args:
        folder: Its path, or a descriptor of it.
    """
    with os.scandir(folder) as entries:
        regular = [entry for entry in entries if entry.is_file(follow_symlinks=False)]
        return {entry.name: entry.stat(follow_symlinks=False).st_size for entry in regular}


def file_kind(status: os.stat_result) -> str:
    """Names the kind of a file that is not regular, as `a link`; empty for a regular one."""
    if stat.S_ISREG(status.st_mode):
        return ""
    if stat.S_ISLNK(status.st_mode):
        return "a link"
    return "a folder" if stat.S_ISDIR(status.st_mode) else "a pipe, socket or device"


def several_names(status: os.stat_result) -> str:
    """Names the kind of a file that has other names, too; empty if it has one name only."""
    return f"a file of {status.st_nlink} names (hard links)" if status.st_nlink > 1 else ""


def _require_regular(status: os.stat_result, path: str) -> None:
    kind = file_kind(status)
    if kind == "a folder":
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    if kind:
        number = errno.ELOOP if kind == "a link" else errno.ENXIO
        raise IrregularFileError(number, f"{kind}, expected a regular file", path)
