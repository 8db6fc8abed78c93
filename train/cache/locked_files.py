"""Files that several processes use at once, guarded by locks that die with their holder.

`flock` belongs to an open file, so it also guards threads of one process from each other. A lock
that was waited for may be on a file that has lost its name meanwhile: who gets one looks again.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator

from convert.storage.regular_files import open_regular


def open_locked(path: str, kind: int) -> int | None:
    """Opens a file and locks it.

    Args:
        path: The file.
        kind: `fcntl.LOCK_SH` or `LOCK_EX`, with `LOCK_NB` if nobody shall wait.

    Returns:
        A descriptor for reading; None if there is no such file, or if it is locked and `kind` says
        not to wait.

    Raises:
        OSError: It cannot be opened, or is no regular file.
    """
    while True:
        try:
            descriptor = open_regular(path, os.O_RDONLY)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(descriptor, kind)
            if has_name(descriptor, path):
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def has_name(descriptor: int, path: str) -> bool:
    """Returns whether an open file still has a name."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def holding(path: str, kind: int) -> Iterator[None]:
    """Holds a lock on a file that is made if it is missing, and never removed."""
    descriptor = open_regular(path, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(descriptor, kind)
        yield
    finally:
        os.close(descriptor)
