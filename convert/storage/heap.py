"""Keeps freed memory in the process, for the next piece or batch."""

from __future__ import annotations

import ctypes

# malloc.h of glibc
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3

_TRIM_BYTES = 256 << 20  # several threads' work on a part of a batch, or pieces of some files
_MMAP_BYTES = 32 << 20  # the most that glibc accepts


def keep_freed_memory() -> None:
    """Lets the C library keep what it would give back to the system at once.

    An augmentation makes and frees some megabytes for each part of a batch, hdfs-native for each
    piece of a file. Given back and taken again, they cost a page fault each 4 KiB: more time than
    the augmentation itself, as much as all else that reading takes. Elsewhere than with glibc
    nothing happens.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _MMAP_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _TRIM_BYTES)
