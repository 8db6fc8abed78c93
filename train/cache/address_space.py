"""Addresses that the shards of a dataset keep, whether they are in the cache or not.

A reader knows its shards as memory that never moves. Here is that memory: reserved as a whole,
which costs nothing, and each shard's file laid over its part while it is needed. To touch a part
where no file lies ends the process, so whoever reads must hold the shard.
"""

from __future__ import annotations

import mmap
from collections.abc import Sequence

import numpy as np

from convert.dataset.mapping import Bytes, array_of, map_pages

# mman.h of Linux; those that Python does not name are the same on all its usual processors.
_PROT_NONE, _MAP_FIXED, _MAP_NORESERVE = 0, 0x10, 0x4000
_NOTHING = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_NORESERVE


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
        self._base = map_pages(None, length, _PROT_NONE, _NOTHING, -1)
        self._whole = array_of(self._base, length)

    def memory(self, number: int) -> Bytes:
        """Returns a file's memory, uint8, shape (size,), read-only; it keeps all addresses alive.

        To make the array touches nothing.
        """
        start = self._starts[number]
        return self._whole[start : start + self._sizes[number]]

    def lay(self, number: int, descriptor: int) -> None:
        """Lays an open file of the right size, not empty, over its addresses."""
        self._put(number, mmap.PROT_READ, mmap.MAP_SHARED, descriptor)

    def clear(self, number: int) -> None:
        """Takes a file away from its addresses, which stay reserved."""
        self._put(number, _PROT_NONE, _NOTHING, -1)

    def _put(self, number: int, protection: int, flags: int, descriptor: int) -> None:
        start, stop = self._starts[number], self._starts[number + 1]
        address = self._base + start
        map_pages(address, stop - start, protection, flags | _MAP_FIXED, descriptor)
