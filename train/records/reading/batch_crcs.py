"""Comparing the CRCs of many records of one length by one call over all their images.

CRC-32C is linear: the CRC of contents laid end to end follows from the CRC of each. A record
stores the CRC of its head and its image together. So from heads and stored CRCs follows the CRC of
all images as they lie in a batch, end to end, and one call, which lets go of Python's lock, finds
whether they have it. If not, each record is looked at alone.

What may be missed: if one record of a batch is damaged, exactly what its own CRC would miss, for
the others add nothing. If several are, their errors have to cancel out, each multiplied by another
power of x: of random damage one in 2**32, as a CRC alone. One, two or three flipped bits in the
images of a call are always found, as CRC-32C does in up to 256 MiB.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from crc32c import crc32c

from convert.dataset.record import HEADER_BYTES, VARINT_BYTES, RecordLayout, unmasked_crcs

Bytes = np.ndarray[Any, np.dtype[np.uint8]]
Words = np.ndarray[Any, np.dtype[np.uint32]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]
Ints = np.ndarray[Any, np.dtype[np.int64]]

_BITS = np.arange(32, dtype=np.uint32)
_LARGEST_CALL = 1024  # records, a power of two; of more the table would be larger, no call cheaper


class BatchCrcs:
    """Compares the CRCs of records.

    Args:
        layout: Theirs.
    """

    def __init__(self, layout: RecordLayout) -> None:
        num_varints = VARINT_BYTES * layout.num_labels
        head, _, _ = layout.encode(
            bytes(num_varints), bytes(VARINT_BYTES), bytes(layout.image_bytes)
        )
        varints = np.zeros(len(head), bool)
        varints[layout.label_offset : layout.label_offset + num_varints] = True
        varints[layout.row_offset : layout.row_offset + VARINT_BYTES] = True
        self._head = np.frombuffer(head, np.uint8)
        self._is_constant = ~varints
        self._places = np.flatnonzero(varints)
        over_image = _shift_over(layout.image_bytes)
        # What a head adds to a record's CRC: what all have alike, and for each varint's byte and
        # each value that it may have what this one adds, one byte after the other.
        alike, values = _crcs_of_heads(head[HEADER_BYTES:], self._places - HEADER_BYTES)
        self._alike = _shifted(over_image, alike)
        self._values = _shifted(over_image, values)
        self._value_places = 256 * np.arange(len(self._places))
        # How to shift a CRC over the images that follow its own, the last record's last.
        shifts: Words = np.uint32(1) << _BITS[None]
        while len(shifts) < _LARGEST_CALL:
            further = _shifted(over_image, shifts[0])  # over as many images as there are shifts
            shifts = np.concatenate([_shifted(further, shifts), shifts])
        self._shifts = shifts

    def wrong(self, heads: Bytes, images: Bytes, stored: Words) -> Bools:
        """Returns which records are damaged.

        Args:
            heads: What stands before the images, frame included, shape (n, image_offset).
            images: Contiguous, shape (n, image_bytes).
            stored: The CRCs as they stand behind the images, shape (n,).

        Returns:
            bool, shape (n,).
        """
        strange = (heads != self._head) & self._is_constant
        crcs = unmasked_crcs(stored)
        if not strange.any() and self._all_right(heads, images, crcs):
            return np.zeros(len(heads), bool)
        contents = zip(heads[:, HEADER_BYTES:], images, strict=True)
        found = np.array([crc32c(image, crc32c(head)) for head, image in contents], np.uint32)
        return strange.any(axis=1) | (found != crcs)

    def _all_right(self, heads: Bytes, images: Bytes, crcs: Words) -> bool:
        """Returns whether records have the CRCs that they should have.

        Args:
            heads: Alike but for the varints, shape (n, image_offset).
            images: Contiguous, shape (n, image_bytes).
            crcs: Of head and image together, shape (n,).
        """
        values = self._values.take(heads[:, self._places] + self._value_places)
        of_images = crcs ^ self._alike ^ np.bitwise_xor.reduce(values, axis=1)
        for start in range(0, len(images), _LARGEST_CALL):
            part = slice(start, start + _LARGEST_CALL)
            shifts = self._shifts[-len(of_images[part]) :]
            together = np.bitwise_xor.reduce(_shifted(shifts, of_images[part]))
            if crc32c(images[part].data) != together:
                return False
        return True


def _crcs_of_heads(head: bytes, places: Ints) -> tuple[Words, Words]:
    """Returns the CRC of a head, and by how much it differs with each value of some of its bytes.

    Args:
        head: It has zeros there.
        places: Of these bytes, shape (n,).

    Returns:
        CRC: Shape ().
        differences: Shape (n * 256,).
    """
    crc, changed, differences = crc32c(head), bytearray(head), []
    for place in places.tolist():
        for value in range(256):
            changed[place] = value
            differences.append(crc32c(changed) ^ crc)
        changed[place] = 0
    return np.array(crc, np.uint32), np.array(differences, np.uint32)


def _shift_over(length: int) -> Words:
    """Returns what becomes of each bit of a CRC if so many bytes follow, shape (32,)."""
    zeros = bytes(length)
    return np.array([crc32c(zeros, 1 << bit) ^ crc32c(zeros) for bit in range(32)], np.uint32)


def _shifted(shifts: Words, crcs: Words) -> Words:
    """Returns CRCs shifted.

    Args:
        shifts: What becomes of the bits of each CRC, shape (32,), or (n, 32) of n different ones.
        crcs: Shape (..., n).
    """
    bits = np.unpackbits(
        np.ascontiguousarray(crcs, "<u4")[..., None].view(np.uint8), axis=-1, bitorder="little"
    )
    shifted: Words = np.bitwise_xor.reduce(shifts * bits, axis=-1)
    return shifted
