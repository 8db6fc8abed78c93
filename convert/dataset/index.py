"""The index of a shard of encoded images: where each record starts, and its length.

One line a record, `offset length` in decimal bytes, frames included: the text format that
`tfrecord2idx` of NVIDIA DALI made common.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import numpy as np

Ints = np.ndarray[Any, np.dtype[np.int64]]

SUFFIX = ".idx"
"""Follows the shard's file name."""

_LINE_BYTES = 32  # two numbers of up to 15 digits, a blank, a line's end

_TEXT = re.compile(rb"([0-9]{1,15} [0-9]{1,15}\n)*")


def most_bytes(num_records: int) -> int:
    """Returns the bytes that an index of so many records has at most."""
    return _LINE_BYTES * num_records


def index_text(lengths: Iterable[int]) -> str:
    """Returns the index of records that follow each other.

    Args:
        lengths: Bytes of each record, frame included.
    """
    lines = []
    offset = 0
    for length in lengths:
        lines.append(f"{offset} {length}\n")
        offset += length
    return "".join(lines)


def parse_index(text: bytes, num_records: int, num_bytes: int) -> Ints:
    """Reads an index, trusting nothing.

    Args:
        text: The file's content.
        num_records: Records of the shard.
        num_bytes: Bytes of the shard.

    Returns:
        int64, shape (records + 1,): the records' offsets, and the shard's end.

    Raises:
        ValueError: It does not describe such a shard; the message says why.
    """
    if _TEXT.fullmatch(text) is None:
        raise ValueError("it is not one `offset length` a line")
    numbers = np.array(text.split(), np.int64).reshape(-1, 2)
    if len(numbers) != num_records:
        raise ValueError(f"it lists {len(numbers)} records, expected {num_records}")
    ends = np.cumsum(numbers[:, 1])
    starts = np.concatenate([np.zeros(1, np.int64), ends])
    if (numbers[:, 0] != starts[:-1]).any() or (numbers[:, 1] < 1).any():
        raise ValueError("its records do not follow each other")
    if starts[-1] != num_bytes:
        raise ValueError(f"its records end at byte {starts[-1]}, expected {num_bytes}")
    return starts
