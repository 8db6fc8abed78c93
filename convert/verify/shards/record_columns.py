"""The records of a piece of a shard, taken apart into columns; damaged ones are marked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from convert.dataset.record import (
    VARINT_BYTES,
    RecordLayout,
    from_padded_varints,
    layout_of_record,
)
from convert.images.pixels.digest import image_digest

Ints = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Columns:
    """Some records that follow each other.

    Attributes:
        is_sound: Whether every byte is as it was written, bool, shape (n,).
        is_zero: Whether it has no bytes but zeros, as where a disk lost a block.
        rows: Manifest rows as read, int64; -1 where the frame is damaged.
        labels: Class indices as read, int64, shape (n, outputs).
        digests: Of the images, uint64.
        images: The images' contents; empty where the frame is damaged.
    """

    is_sound: Ints
    is_zero: Ints
    rows: Ints
    labels: Ints
    digests: Ints
    images: list[bytes]


def take_apart(data: bytes, ends: Ints, num_labels: int) -> Columns:
    """Takes records apart.

    Args:
        data: Whole records.
        ends: Where each of them ends, int64, shape (n,).
        num_labels: Class indices in a record.
    """
    array = np.frombuffer(data, np.uint8)
    is_framed, is_sound, is_zero = (np.zeros(len(ends), bool) for _ in range(3))
    digests, images, numbers = np.zeros(len(ends), np.uint64), [], []
    start = 0
    for index, end in enumerate(ends.tolist()):
        record = array[start:end]
        layout = _layout(num_labels, record)
        image, number = b"", bytes(VARINT_BYTES * (num_labels + 1))
        if layout is None:
            is_zero[index] = not record.any()
        else:
            is_framed[index] = True
            is_sound[index] = layout.crc_ok(record)
            label_end = layout.label_offset + VARINT_BYTES * num_labels
            number = record[layout.label_offset : label_end].tobytes()
            number += record[layout.row_offset :][:VARINT_BYTES].tobytes()
            image = record[layout.image_offset :][: layout.image_bytes].tobytes()
            digests[index] = image_digest(image)
        images.append(image)
        numbers.append(number)
        start = end
    groups = np.frombuffer(b"".join(numbers), np.uint8).reshape(len(ends), -1)
    values = from_padded_varints(groups)
    return Columns(
        is_sound=is_sound,
        is_zero=is_zero,
        rows=np.where(is_framed, values[:, -1], -1),
        labels=values[:, :-1],
        digests=digests,
        images=images,
    )


def _layout(num_labels: int, record: Ints) -> RecordLayout | None:
    """Returns the layout of a record; None if its frame is damaged."""
    try:
        layout = layout_of_record(num_labels, len(record))
    except ValueError:  # no record has this length
        return None
    return layout if layout.matches(record) else None
