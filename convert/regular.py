"""Opens files of our own folders: only regular ones, without following links.

A folder may come from a stranger. A link in it would have us write into the user's own files, and
a pipe would let us wait for ever.
"""

from __future__ import annotations

import errno
import os
import stat

_FLAGS = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class IrregularFileError(OSError):
    """What stands there is no file that we made; waiting does not change that."""


def open_regular(path: str, flags: int) -> int:
    """Opens a regular file; as `open(path, mode, opener=open_regular)` it serves every mode.

    Args:
        path: The file. Folders on the way to it may be links, the file itself may not.
        flags: Those of `os.open`.

    Returns:
        A descriptor.

    Raises:
        IrregularFileError: A link, a folder, a pipe, a socket or a device is there.
        OSError: It cannot be opened.
    """
    try:
        _require_regular(os.lstat(path), path)  # first: opening a device can act on it
    except FileNotFoundError:
        if not flags & os.O_CREAT:
            raise
    descriptor = os.open(path, flags | _FLAGS, 0o666)
    try:
        _require_regular(os.fstat(descriptor), path)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def file_kind(status: os.stat_result) -> str:
    """Names the kind of a file that is not regular, as `a link`; empty for a regular one."""
    if stat.S_ISREG(status.st_mode):
        return ""
    if stat.S_ISLNK(status.st_mode):
        return "a link"
    return "a folder" if stat.S_ISDIR(status.st_mode) else "a pipe, socket or device"


def _require_regular(status: os.stat_result, path: str) -> None:
    kind = file_kind(status)
    if kind == "a folder":
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    if kind:
        number = errno.ELOOP if kind == "a link" else errno.ENXIO
        raise IrregularFileError(number, f"{kind}, expected a regular file", path)
