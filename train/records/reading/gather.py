"""Copying many scattered pieces of memory into one array, without holding Python's lock.

NumPy has no such call: a loop over the pieces takes twice as long and lets no other thread work,
and fancy indexing copies twice. Arrow has one: a `binary_view` array is a list of (length, buffer,
offset), and casting it to a plain binary array copies what it points at, side by side.

Source: the layout of a view is that of the Arrow columnar format, "Variable-size Binary View
Layout".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

Bytes = np.ndarray[Any, np.dtype[np.uint8]]
Ints = np.ndarray[Any, np.dtype[np.int64]]

# Arrow's casts never look at the prefix, a copy of the first four bytes for comparisons.
_VIEW = np.dtype([("length", "<i4"), ("prefix", "<i4"), ("buffer", "<i4"), ("offset", "<i4")])
_SHORTEST = 13  # shorter pieces would have to stand in the view itself
_PART_BYTES = 1 << 30  # offsets are int32: a large memory is cut into buffers that overlap


class Memories:
    """Several memories, such as mapped files, of which pieces are copied.

    Args:
        memories: uint8 arrays, of any sizes; they are kept alive.
        longest: The longest piece that is ever copied.
    """

    def __init__(self, memories: Sequence[Bytes], longest: int) -> None:
        import pyarrow as pa  # takes longer to load than `train --help` may

        self._buffers: list[Any] = []
        first = []
        for memory in memories:
            first.append(len(self._buffers))
            for start in range(0, max(1, len(memory)), _PART_BYTES):
                part = memory[start : start + _PART_BYTES + longest]
                self._buffers.append(pa.py_buffer(part))
        self._first = np.array(first, np.int64)

    def copy(self, memory: Ints, offset: Ints, length: int) -> Bytes:
        """Returns pieces of equal length, one after the other.

        Args:
            memory: Number of each piece's memory, shape (n,).
            offset: Where it starts there. If `length` is below 13, at least 13.
            length: In [1, longest].

        Returns:
            uint8, shape (n, length), 64-byte aligned, writeable, of nobody else.
        """
        import pyarrow as pa

        if length < _SHORTEST:  # with what stands before
            wide = self.copy(memory, offset - _SHORTEST, length + _SHORTEST)
            return np.ascontiguousarray(wide[:, _SHORTEST:])
        part, start = np.divmod(offset, _PART_BYTES)
        buffer = self._first[memory] + part
        is_used = np.zeros(len(self._buffers), bool)
        is_used[buffer] = True
        used = np.flatnonzero(is_used)
        views = np.zeros(len(offset), _VIEW)
        views["length"] = length
        views["buffer"] = (np.cumsum(is_used) - 1)[buffer]  # without those that are not used
        views["offset"] = start
        buffers = [None, pa.py_buffer(views), *(self._buffers[number] for number in used)]
        pieces = pa.Array.from_buffers(pa.binary_view(), len(offset), buffers)
        copied = pieces.cast(pa.binary(length)).buffers()[1]
        return np.frombuffer(copied, np.uint8, count=len(offset) * length).reshape(-1, length)
