"""The bytes of a record: pinned here once, so that no change to them goes unseen."""

from typing import Any

import google_crc32c
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from convert.dataset.record import (
    MAX_VARINT,
    RecordLayout,
    from_padded_varints,
    masked_crc,
    padded_varints,
)

VALUES = st.integers(0, MAX_VARINT)

# Two labels (1 and 300), row 5, an image of the four bytes `abcd`.
GOLDEN = b"".join(
    (
        b"\x40\x00\x00\x00\x00\x00\x00\x00" + b"\x28\x17\xf4\x95",  # length 64 and its CRC
        b"\x0a\x3e",  # Example.features, 62 bytes
        b"\x0a\x17" + b"\x0a\x05label",  # entry of 23 bytes: its key
        b"\x12\x0e\x1a\x0c\x0a\x0a",  # its value: Feature, Int64List, packed, 10 bytes
        b"\x81\x80\x80\x80\x00" + b"\xac\x82\x80\x80\x00",
        b"\x0a\x10" + b"\x0a\x03row",
        b"\x12\x09\x1a\x07\x0a\x05",
        b"\x85\x80\x80\x80\x00",
        b"\x0a\x11" + b"\x0a\x05image",
        b"\x12\x08\x0a\x06\x0a\x04",  # Feature, BytesList, one value of 4 bytes
        b"abcd",
        b"\xd4\xb8\x7d\x46",  # the CRC of the Example
    )
)


def encoded(layout: RecordLayout, labels: list[int], row: int, image: bytes) -> bytes:
    label = padded_varints(np.array(labels)).tobytes()
    return b"".join(layout.encode(label, padded_varints(np.array([row])).tobytes(), image))


def array(record: bytes) -> np.ndarray:
    return np.frombuffer(record, np.uint8)


@pytest.mark.parametrize(
    ("value", "content"),
    [
        (0, b"\x80\x80\x80\x80\x00"),
        (1, b"\x81\x80\x80\x80\x00"),
        (127, b"\xff\x80\x80\x80\x00"),
        (128, b"\x80\x81\x80\x80\x00"),  # the second group
        (300, b"\xac\x82\x80\x80\x00"),
        (2**28, b"\x80\x80\x80\x80\x01"),  # the last group
        (MAX_VARINT, b"\xff\xff\xff\xff\x7f"),
    ],
)
def test_padded_varint(value: int, content: bytes) -> None:
    assert padded_varints(np.array([value])).tobytes() == content


@given(arrays.arrays(np.int64, arrays.array_shapes(max_dims=3, max_side=5), elements=VALUES))
def test_padded_varints_round_trip(values: np.ndarray) -> None:
    data = padded_varints(values)
    assert (data.dtype, data.shape) == (np.uint8, (*values.shape[:-1], values.shape[-1] * 5))
    np.testing.assert_array_equal(from_padded_varints(data), values)


@pytest.fixture(scope="module")
def example() -> Any:
    """The message, made by Google's own compiler of its definition."""
    from tensorflow.core.example.example_pb2 import Example

    return Example


@given(st.lists(VALUES, min_size=1, max_size=6), VALUES, st.binary(max_size=300))
def test_protobuf_reads_any_record(example: Any, labels: list[int], row: int, image: bytes) -> None:
    layout = RecordLayout(num_labels=len(labels), image_bytes=len(image))
    record = encoded(layout, labels, row, image)
    feature = example.FromString(record[12:-4]).features.feature
    assert list(feature["label"].int64_list.value) == labels
    assert list(feature["row"].int64_list.value) == [row]
    assert list(feature["image"].bytes_list.value) == [image]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([0, -1], "values must be in [0, 34359738367], got -1..0."),
        ([7, 2**35], "values must be in [0, 34359738367], got 7..34359738368."),
    ],
)
def test_padded_varints_have_a_range(values: list[int], message: str) -> None:
    with pytest.raises(ValueError) as caught:
        padded_varints(np.array(values))
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("content", "crc", "masked"),
    [
        (b"", 0, 0xA282EAD8),
        (b"123456789", 0xE3069283, 0xC78AB0E5),  # RFC 3720's check value
    ],
)
def test_masked_crc(content: bytes, crc: int, masked: int) -> None:
    assert google_crc32c.value(content) == crc
    assert masked_crc(crc) == masked


def test_golden_record() -> None:
    layout = RecordLayout(num_labels=2, image_bytes=4)
    assert encoded(layout, [1, 300], 5, b"abcd") == GOLDEN
    assert (layout.stride, layout.image_bytes) == (len(GOLDEN), 4)
    assert GOLDEN[layout.label_offset :].startswith(b"\x81\x80\x80\x80\x00\xac\x82")
    assert GOLDEN[layout.row_offset :].startswith(b"\x85\x80\x80\x80\x00")
    assert GOLDEN[layout.image_offset :].startswith(b"abcd")


@pytest.mark.parametrize(
    ("num_labels", "image_bytes", "offsets"),
    [
        (4, 32 * 128 * 3, (12379, 30, 63, 87)),  # the sample's
        (1, 1, (72, 29, 47, 67)),  # the least
        (30, 100, (321, 34, 197, 217)),  # more than 127 bytes of labels
    ],
)
def test_offsets_and_stride(num_labels: int, image_bytes: int, offsets: tuple[int, ...]) -> None:
    layout = RecordLayout(num_labels=num_labels, image_bytes=image_bytes)
    found = (layout.stride, layout.label_offset, layout.row_offset, layout.image_offset)
    assert found == offsets
    for labels, row in ((0, 0), (MAX_VARINT, MAX_VARINT)):  # no value changes the length
        assert len(encoded(layout, [labels] * num_labels, row, bytes(image_bytes))) == layout.stride


@pytest.mark.parametrize(
    ("label", "row", "image"),
    [
        (bytes(5), bytes(5), b"abcd"),  # one label of two
        (bytes(10), bytes(4), b"abcd"),
        (bytes(10), bytes(5), b"abc"),
        (bytes(10), bytes(5), b"abcde"),
    ],
)
def test_pieces_of_a_wrong_length(label: bytes, row: bytes, image: bytes) -> None:
    layout = RecordLayout(num_labels=2, image_bytes=4)
    with pytest.raises(ValueError) as caught:
        layout.encode(label, row, image)
    message = f"a record of {len(GOLDEN)} bytes cannot hold {len(image)} of image."
    assert str(caught.value) == message


def test_a_record_matches_whatever_its_values() -> None:
    layout = RecordLayout(num_labels=2, image_bytes=4)
    for labels, row, image in (([1, 300], 5, b"abcd"), ([0, 0], MAX_VARINT, b"\xff" * 4)):
        record = array(encoded(layout, labels, row, image))
        assert layout.matches(record) and layout.crc_ok(record)


@pytest.mark.parametrize("position", range(len(GOLDEN)))
def test_each_changed_byte_is_noticed(position: int) -> None:
    layout = RecordLayout(num_labels=2, image_bytes=4)
    record = array(GOLDEN).copy()
    record[position] ^= 0x10
    assert not (layout.matches(record) and layout.crc_ok(record))
    values = [
        *range(layout.label_offset, layout.label_offset + 10),
        *range(layout.row_offset, layout.row_offset + 5),
        *range(layout.image_offset, layout.stride),
    ]
    assert layout.matches(record) == (position in values)
    assert layout.crc_ok(record) == (position < 12)  # the frame's own start has no part in it
