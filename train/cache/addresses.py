"""Addresses that shards of a dataset keep, whether they are at hand or not.

A reader knows its shards as memory that never moves. Here is that memory: reserved as a whole,
which costs nothing, and each shard's file laid over its part while it is needed. To touch a part
where no file lies ends the process, so whoever reads must hold the shard.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np

Bytes = np.ndarray[Any, np.dtype[np.uint8]]

# mman.h of Linux; those that Python does not name are the same on all its usual processors.
_PROT_NONE, _MAP_FIXED, _MAP_NORESERVE = 0, 0x10, 0x4000
_NOTHING = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_NORESERVE
_FAILED = ctypes.c_void_p(-1).value

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = (
    ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long,
)  # fmt: skip
_libc.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)


class Addresses:
    """Room in the address space for some files, side by side.

    Args:
        sizes: Of each file, in bytes.

    Raises:
        OSError: The process may not have so many addresses.
    """

    def __init__(self, sizes: Sequence[int]) -> None:
        self._sizes = list(sizes)
        pages = [-(-size // mmap.PAGESIZE) * mmap.PAGESIZE for size in sizes]
        self._starts = np.cumsum([0, *pages]).tolist()
        length = max(mmap.PAGESIZE, self._starts[-1])
        self._base = _map(None, length, _PROT_NONE, _NOTHING, -1)
        self._whole = (ctypes.c_uint8 * length).from_address(self._base)
        # At exit the system unmaps it: other threads may still be reading.
        weakref.finalize(self._whole, _libc.munmap, self._base, length).atexit = False

    def memory(self, number: int) -> Bytes:
        """Returns a file's memory, uint8, shape (size,), read-only; it keeps all addresses alive.

        To make the array touches nothing.
        """
        start = self._starts[number]
        content = np.frombuffer(memoryview(self._whole), np.uint8)
        content = content[start : start + self._sizes[number]]
        content.flags.writeable = False
        return content

    def lay(self, number: int, descriptor: int) -> None:
        """Lays an open file of the right size, not empty, over its addresses."""
        self._put(number, mmap.PROT_READ, mmap.MAP_SHARED, descriptor)

    def clear(self, number: int) -> None:
        """Takes a file away from its addresses, which stay reserved."""
        self._put(number, _PROT_NONE, _NOTHING, -1)

    def _put(self, number: int, protection: int, flags: int, descriptor: int) -> None:
        start, stop = self._starts[number], self._starts[number + 1]
        address = self._base + start
        _map(address, stop - start, protection, flags | _MAP_FIXED, descriptor)


def _map(address: int | None, length: int, protection: int, flags: int, descriptor: int) -> int:
    found = _libc.mmap(address, length, protection, flags, descriptor, 0)
    if found == _FAILED:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return int(found)
