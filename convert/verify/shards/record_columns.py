"""The records of a piece of a shard, taken apart into columns; damaged ones are marked."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import google_crc32c
import numpy as np

from convert.dataset.record import (
    FOOTER_BYTES,
    HEADER_BYTES,
    VARINT_BYTES,
    RecordLayout,
    from_padded_varints,
    layout_of_record,
    masked_crc,
    padded_varints,
)
from convert.images.pixels.digest import image_digest

_MORE_FOLLOWS = 0x80  # in a byte of a varint; the same in every padded one
_ZERO = padded_varints(np.zeros(1, np.int64)).tobytes()
_NO_NUMBER = bytes(VARINT_BYTES)
_NEAR_BYTES = 2  # constant bytes that may differ in what is still one of our records, but damaged

Bytes = np.ndarray[Any, np.dtype[np.uint8]]
Ints = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Columns:
    """Some records that follow each other.

    Attributes:
        is_sound: Whether every byte is as it was written, bool, shape (n,).
        is_near: Whether it is a record of this layout at all, though it may be damaged.
        is_zero: Whether it has no bytes but zeros, as where a disk lost a block.
        rows: Manifest rows as read, int64; -1 where there is no number.
        labels: Class indices as read, int64, shape (n, outputs).
        digests: Of the images, uint64.
        images: The images' contents.
    """

    is_sound: Ints
    is_near: Ints
    is_zero: Ints
    rows: Ints
    labels: Ints
    digests: Ints
    images: list[bytes]


def columns_of_equal(data: bytes, layout: RecordLayout, *, keep_images: bool) -> Columns:
    """Takes records of one length apart.

    Args:
        data: Whole records, each of the layout's stride.
        layout: Where everything lies in them.
        keep_images: Whether the contents are wanted; else `images` is empty.
    """
    records = np.frombuffer(data, np.uint8).reshape(-1, layout.stride)
    starts = records[:, : layout.image_offset]
    values, mask = (np.frombuffer(piece, np.uint8) for piece in _constants(layout))
    differing = np.count_nonzero((starts ^ values) & mask, axis=1)
    crcs, digests, images = [], [], []
    for start in range(0, len(data), layout.stride):
        crc, digest, image = _checksums(data, start, layout)
        crcs.append(crc)
        digests.append(digest)
        if keep_images:
            images.append(image)
    is_zero = differing > _NEAR_BYTES  # only these can be; few, so that all bytes are looked at
    is_zero[is_zero] = ~records[is_zero].any(axis=1)
    label_end = layout.label_offset + VARINT_BYTES * layout.num_labels
    stored = np.ascontiguousarray(records[:, -FOOTER_BYTES:]).view("<u4")[:, 0]
    return Columns(
        is_sound=(differing == 0) & (np.array(crcs, np.uint32) == stored),
        is_near=differing <= _NEAR_BYTES,
        is_zero=is_zero,
        rows=_numbers(starts[:, layout.row_offset : layout.row_offset + VARINT_BYTES]),
        labels=from_padded_varints(starts[:, layout.label_offset : label_end]),
        digests=np.array(digests, np.uint64),
        images=images,
    )


def columns_of_unequal(data: bytes, ends: Ints, num_labels: int) -> Columns:
    """Takes records of different lengths apart.

    Args:
        data: Whole records.
        ends: Where each of them ends, shape (n,).
        num_labels: Class indices in a record.
    """
    is_sound, is_near, is_zero, digests, images = [], [], [], [], []
    rows, labels = [], []
    start = 0
    for end in ends.tolist():
        try:
            layout = layout_of_record(num_labels, end - start)
        except ValueError:  # no record has this length, so its frame is not ours
            layout = None
        differing, crc, digest, image = _NEAR_BYTES + 1, 0, 0, b""
        label, row = _ZERO * num_labels, _NO_NUMBER
        if layout is not None:
            before = data[start : start + layout.image_offset]
            differing = _differing(before, layout)
            crc, digest, image = _checksums(data, start, layout)
            label = before[layout.label_offset :][: len(label)]
            row = before[layout.row_offset :][: len(row)]
        stored = int.from_bytes(data[end - FOOTER_BYTES : end], "little")
        is_sound.append(differing == 0 and crc == stored)
        is_near.append(differing <= _NEAR_BYTES)
        is_zero.append(differing > _NEAR_BYTES and not any(data[start:end]))
        digests.append(digest)
        images.append(image)
        labels.append(label)
        rows.append(row)
        start = end
    return Columns(
        is_sound=np.array(is_sound),
        is_near=np.array(is_near),
        is_zero=np.array(is_zero),
        rows=_numbers(_matrix(rows)),
        labels=from_padded_varints(_matrix(labels)),
        digests=np.array(digests, np.uint64),
        images=images,
    )


def _matrix(pieces: list[bytes]) -> Bytes:
    return np.frombuffer(b"".join(pieces), np.uint8).reshape(len(pieces), -1)


def _checksums(data: bytes, start: int, layout: RecordLayout) -> tuple[int, int, bytes]:
    """Returns the CRC that a record's content should carry, its image's digest, its image."""
    image_start = start + layout.image_offset
    image = data[image_start : image_start + layout.image_bytes]
    before = google_crc32c.value(data[start + HEADER_BYTES : image_start])
    return masked_crc(google_crc32c.extend(before, image)), image_digest(image), image


@functools.lru_cache(maxsize=65_536)  # as many lengths as small encoded images have
def _constants(layout: RecordLayout) -> tuple[bytes, bytes]:
    """Returns the bytes before the image, and which of their bits are the same in every record."""
    label = _ZERO * layout.num_labels
    values, _, _ = layout.encode(label, _ZERO, bytes(layout.image_bytes))
    mask = bytearray(b"\xff" * len(values))
    for offset, length in ((layout.label_offset, len(label)), (layout.row_offset, VARINT_BYTES)):
        mask[offset : offset + length] = bytes([_MORE_FOLLOWS]) * length
    return values, bytes(mask)


def _differing(before: bytes, layout: RecordLayout) -> int:
    """Returns how many of the bytes before an image are not as in every record."""
    values, mask = _constants(layout)
    # As one large number: these few bytes are too little work for an array.
    bits = int.from_bytes(before, "big") ^ int.from_bytes(values, "big")
    bits &= int.from_bytes(mask, "big")
    return len(before) - bits.to_bytes(len(before), "big").count(0) if bits else 0


def _numbers(groups: Bytes) -> Ints:
    """Decodes one padded varint a line; -1 where there is none.

    Args:
        groups: uint8, shape (n, 5).
    """
    is_number = (groups & _MORE_FOLLOWS == np.frombuffer(_ZERO, np.uint8)).all(axis=1)
    return np.where(is_number, from_padded_varints(groups)[:, 0], -1)
