"""Maps files into memory without keeping a file descriptor for each.

Python's own `mmap` keeps a duplicate of the descriptor, so a dataset of a few thousand shards
would exhaust what a process may have open. The call beneath it does not.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from convert.errors import FormatError
from convert.storage.regular_files import open_regular

REPAIR = "Restore the file from a copy, or convert again with --overwrite."

Bytes = np.ndarray[Any, np.dtype[np.uint8]]
Opener = Callable[[str, int], int]

_PROT_READ, _MAP_SHARED = 1, 1  # the same numbers on every system that has mmap
_MADV_DONTNEED = 4
_FAILED = ctypes.c_void_p(-1).value

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = (
    ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long,
)  # fmt: skip
_libc.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
_libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)


def map_file(path: str, size: int, opener: Opener = open_regular) -> Bytes:
    """Maps a file into memory; nothing of it is read yet.

    Args:
        path: The file.
        size: What it must be, in bytes.
        opener: Opens it, as `open(path, mode, opener=opener)` asks.

    Returns:
        Its content, uint8, shape (size,), read-only. Unmapped when nothing refers to it any more.

    Raises:
        FormatError: It is missing, cannot be read, or has another size.
    """
    try:
        with open(path, "rb", buffering=0, opener=opener) as file:
            found = os.fstat(file.fileno()).st_size
            if found != size:
                raise FormatError(f"{path}: {found} bytes, expected {size}. {REPAIR}")
            if not size:
                return np.empty(0, np.uint8)
            return array_of(map_pages(None, size, _PROT_READ, _MAP_SHARED, file.fileno()), size)
    except OSError as error:
        raise FormatError(f"{path}: cannot be read: {error.strerror}. {REPAIR}") from error


def map_pages(address: int | None, size: int, protection: int, flags: int, descriptor: int) -> int:
    """Maps memory by the system's `mmap`, whose arguments these are; returns its address.

    Raises:
        OSError: The system refuses.
    """
    found = _libc.mmap(address, size, protection, flags, descriptor, 0)
    if found == _FAILED:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return int(found)


def array_of(address: int, size: int) -> Bytes:
    """Returns mapped memory as an array; to make it touches nothing.

    Args:
        address: Where it begins; it must be mapped.
        size: In bytes.

    Returns:
        Its content, uint8, shape (size,), read-only. Unmapped when nothing refers to it any more.
    """
    memory = (ctypes.c_uint8 * size).from_address(address)
    # At exit the system unmaps it: other threads may still be reading.
    weakref.finalize(memory, _libc.munmap, address, size).atexit = False
    content = np.frombuffer(memoryview(memory), np.uint8)
    content.flags.writeable = False
    return content


def forget(memory: Bytes) -> None:
    """Gives back the memory of a mapped file's part; reading it again maps it again.

    The pages stay in the system's cache, but count no longer as this process's memory.

    Args:
        memory: A part of what `map_file` returned.
    """
    start = -(-memory.ctypes.data // mmap.PAGESIZE) * mmap.PAGESIZE
    stop = (memory.ctypes.data + memory.size) // mmap.PAGESIZE * mmap.PAGESIZE
    if start < stop:
        _libc.madvise(start, stop - start, _MADV_DONTNEED)
