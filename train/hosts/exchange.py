"""Bytes from the devices of one process to those of others; all processes call these alike.

As bytes, since on this way JAX makes float32 of float64, and loses the sign of zeros.
"""

from __future__ import annotations

import os
import sys

import numpy as np

from train.hosts.team import Arrays

_LEAST_BYTES = 1 << 10  # few sizes: each is compiled
_CHUNK_BYTES = 64 << 20  # of arrays that are sent at once: bounds what lies on the devices


def gather_bytes(value: bytes) -> list[bytes]:
    """Returns the values of all ranks, by rank."""
    from jax.experimental import multihost_utils

    sizes = multihost_utils.process_allgather(np.array([len(value)], np.int32)).reshape(-1)
    width = max(_LEAST_BYTES, 1 << int(sizes.max()).bit_length())
    padded = np.zeros(width, np.uint8)
    padded[: len(value)] = np.frombuffer(value, np.uint8)
    rows = multihost_utils.process_allgather(padded).reshape(-1, width)
    return [row[:size].tobytes() for row, size in zip(rows, sizes, strict=True)]


def connect_devices() -> None:
    """Exchanges nothing for the first time; Gloo then prints what it connects to."""
    sys.stdout.flush()
    stdout, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        gather_bytes(b"")
    finally:
        os.dup2(stdout, 1)
        os.close(stdout)
        os.close(nowhere)


def share_arrays(arrays: Arrays, like: Arrays) -> Arrays:
    """Returns the arrays that rank 0 has.

    Args:
        arrays: Those of rank 0; on other ranks any of the shapes of `like`.
        like: Arrays of the same names, shapes and dtypes.
    """
    from jax.experimental import multihost_utils

    data = np.frombuffer(b"".join(array.tobytes() for array in arrays.values()), np.uint8)
    shared = bytearray()
    for start in range(0, len(data), _CHUNK_BYTES):
        chunk = data[start : start + _CHUNK_BYTES]
        shared += np.asarray(multihost_utils.broadcast_one_to_all(chunk)).tobytes()
    found, start = {}, 0
    for name, array in like.items():
        stop = start + array.nbytes
        found[name] = np.frombuffer(shared[start:stop], array.dtype).reshape(array.shape)
        start = stop
    return found
