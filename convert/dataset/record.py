"""The bytes of a record: one definition, imported by the writer and every reader.

A record is a TFRecord frame around a `tf.train.Example`:

    uint64 length, uint32 masked CRC of it, Example, uint32 masked CRC of the Example

The Example's features stand in a fixed order (`label`, `row`, `image`) and its integers are
padded varints, so images of one size give records of one length. Encoded images (`png`, `jpeg`)
give records of different lengths; an index beside the shard tells where each one is. See
data/README.md.

Sources: the frame is that of TensorFlow's `lib/io/record_writer.h`; the field numbers are those
of `tensorflow/core/example/{example,feature}.proto`; varints are those of the protobuf wire format.
"""

from __future__ import annotations

import functools
import struct
from dataclasses import dataclass, field
from typing import Any

import google_crc32c
import numpy as np

VARINT_BYTES = 5
"""Five groups of seven bits hold values up to 2**35 - 1: more rows than any manifest has."""

MAX_VARINT = (1 << (7 * VARINT_BYTES)) - 1
HEADER_BYTES = 12
FOOTER_BYTES = 4

_LENGTH_STEPS = 16  # four length fields of at most three lengths each: more than it ever takes
_MASK_DELTA = 0xA282EAD8  # record_writer.h: a CRC stored beside its data must not look like data
_BYTES_LIST, _INT64_LIST = 1, 3  # feature.proto: fields of `Feature`

Bytes = np.ndarray[Any, np.dtype[np.uint8]]
Ints = np.ndarray[Any, np.dtype[Any]]


def padded_varints(values: Ints) -> Bytes:
    """Encodes integers as varints of exactly five bytes each.

    Args:
        values: Integers in [0, 2**35), shape (..., n).

    Returns:
        uint8, shape (..., n * 5).

    Raises:
        ValueError: A value is outside the range.
    """
    wide = np.asarray(values, np.int64)
    if wide.size and not 0 <= int(wide.min()) <= int(wide.max()) <= MAX_VARINT:
        raise ValueError(f"values must be in [0, {MAX_VARINT}], got {wide.min()}..{wide.max()}.")
    groups = (wide[..., None] >> np.arange(0, 7 * VARINT_BYTES, 7)) & 0x7F
    groups[..., :-1] |= 0x80  # "another byte follows", also where the rest is zero
    return groups.astype(np.uint8).reshape(*wide.shape[:-1], -1)


def from_padded_varints(data: Bytes) -> Ints:
    """Decodes what `padded_varints` encoded.

    Args:
        data: uint8, shape (..., n * 5).

    Returns:
        int64, shape (..., n).
    """
    count = data.shape[-1] // VARINT_BYTES
    groups = data.reshape(*data.shape[:-1], count, VARINT_BYTES) & 0x7F
    decoded: Ints = groups[..., 0].astype(np.int64)
    for index in range(1, VARINT_BYTES):  # a sum over so short an axis would take twice as long
        decoded |= groups[..., index].astype(np.int64) << 7 * index
    return decoded


def masked_crc(crc: int) -> int:
    """Returns a CRC-32C as TFRecords store it: rotated right by 15 bits, plus a constant."""
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF


def unmasked_crcs(masked: Ints) -> Ints:
    """Returns the CRCs that `masked_crc` made these of; both uint32, of any shape."""
    rotated = masked - np.uint32(_MASK_DELTA)
    return rotated << np.uint32(15) | rotated >> np.uint32(17)


def _varint(value: int) -> bytes:
    """Encodes one integer as the shortest varint."""
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _open_field(number: int, length: int) -> bytes:
    """Returns the bytes before a length-delimited field's content of `length` bytes."""
    return bytes([number << 3 | 2]) + _varint(length)


def _open_feature(key: bytes, kind: int, length: int) -> bytes:
    """Returns all bytes of one entry of `Features.feature` before its value's content."""
    value_list = _open_field(1, length)
    feature = _open_field(kind, len(value_list) + length)
    value = _open_field(2, len(feature) + len(value_list) + length)
    start = _open_field(1, len(key)) + key + value + feature + value_list
    return _open_field(1, len(start) + length) + start


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordLayout:
    """Where everything lies in a record, from its number of labels and its image's length.

    Attributes:
        num_labels: Class indices in a record, one per output. At least 1.
        image_bytes: Length of the image feature's content.
        stride: Length of the whole record, frame included.
        label_offset: Where the labels' padded varints start, from the record's start.
        row_offset: Where the row's padded varint starts.
        image_offset: Where the image's bytes start.
    """

    num_labels: int
    image_bytes: int
    stride: int = field(init=False)
    label_offset: int = field(init=False)
    row_offset: int = field(init=False)
    image_offset: int = field(init=False)
    _pieces: tuple[bytes, bytes, bytes] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        labels = VARINT_BYTES * self.num_labels
        label = _open_feature(b"label", _INT64_LIST, labels)
        row = _open_feature(b"row", _INT64_LIST, VARINT_BYTES)
        image = _open_feature(b"image", _BYTES_LIST, self.image_bytes)
        content = len(label) + labels + len(row) + VARINT_BYTES + len(image) + self.image_bytes
        start = _open_field(1, content)
        length = len(start) + content
        frame = struct.pack("<Q", length)
        frame += struct.pack("<I", masked_crc(google_crc32c.value(frame)))
        set_field = object.__setattr__  # the class is frozen; these follow from the arguments
        set_field(self, "_pieces", (frame + start + label, row, image))
        set_field(self, "label_offset", HEADER_BYTES + len(start) + len(label))
        set_field(self, "row_offset", self.label_offset + labels + len(row))
        set_field(self, "image_offset", self.row_offset + VARINT_BYTES + len(image))
        set_field(self, "stride", HEADER_BYTES + length + FOOTER_BYTES)

    def encode(self, label: bytes, row: bytes, image: bytes) -> tuple[bytes, bytes, bytes]:
        """Returns a record as three pieces to be written one after the other.

        Args:
            label: The labels as `padded_varints`, 5 * num_labels bytes.
            row: The manifest row as `padded_varints`, 5 bytes.
            image: The image feature's content, image_bytes bytes.

        Raises:
            ValueError: A length is not the layout's.
        """
        before_label, before_row, before_image = self._pieces
        start = b"".join((before_label, label, before_row, row, before_image))
        if (len(start), len(image)) != (self.image_offset, self.image_bytes):
            raise ValueError(f"a record of {self.stride} bytes cannot hold {len(image)} of image.")
        crc = google_crc32c.extend(google_crc32c.value(start[HEADER_BYTES:]), image)
        return start, image, struct.pack("<I", masked_crc(crc))

    def matches(self, record: Bytes) -> bool:
        """Returns whether the bytes that are the same in every record are there.

        Args:
            record: uint8, shape (stride,).
        """
        before_label, before_row, before_image = self._pieces
        start = record[: self.image_offset].tobytes()
        label_end = self.label_offset + VARINT_BYTES * self.num_labels
        return (
            start[: self.label_offset] == before_label
            and start[label_end : self.row_offset] == before_row
            and start[self.row_offset + VARINT_BYTES :] == before_image
        )

    def crc_ok(self, record: Bytes) -> bool:
        """Returns whether the record's stored CRC is that of its content.

        The frame's length and its CRC are constants; `matches` compares those.

        Args:
            record: uint8, contiguous, shape (stride,).
        """
        stored = int.from_bytes(record[-FOOTER_BYTES:].tobytes(), "little")
        content = record[HEADER_BYTES:-FOOTER_BYTES]
        return masked_crc(google_crc32c.value(content)) == stored


@functools.lru_cache(maxsize=65_536)  # as many lengths as small encoded images have
def layout_of_image(num_labels: int, image_bytes: int) -> RecordLayout:
    """Returns the layout of a record whose image has some length."""
    return RecordLayout(num_labels=num_labels, image_bytes=image_bytes)


def layout_of_record(num_labels: int, record_bytes: int) -> RecordLayout:
    """Returns the layout of a record that has some length, frame included.

    Raises:
        ValueError: No record has this length.
    """
    image_bytes = record_bytes
    for _ in range(_LENGTH_STEPS):
        layout = layout_of_image(num_labels, max(0, image_bytes))
        if layout.stride == record_bytes:
            return layout
        # All but the image takes this much, unless a length field is shorter for a shorter image.
        image_bytes = record_bytes - (layout.stride - layout.image_bytes)
    raise ValueError(f"no record has {record_bytes} bytes.")
