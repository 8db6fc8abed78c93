"""Comparing the CRCs of a batch: one call finds any damage, and the records that have it."""

from __future__ import annotations

from unittest.mock import Mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert.dataset.record import FOOTER_BYTES, RecordLayout, padded_varints
from train.records.reading import batch_crcs
from train.records.reading.batch_crcs import BatchCrcs

SMALL = RecordLayout(num_labels=2, image_bytes=20)


def made(layout, num_records, seed=0):
    """Returns records as they lie in a shard, uint8, shape (num_records, stride)."""
    rng = np.random.default_rng(seed)
    records = []
    for row in rng.integers(2**35, size=num_records):
        label = padded_varints(rng.integers(2**35, size=layout.num_labels)).tobytes()
        image = rng.bytes(layout.image_bytes)
        records.append(b"".join(layout.encode(label, padded_varints([row]).tobytes(), image)))
    return np.frombuffer(bytearray(b"".join(records)), np.uint8).reshape(-1, layout.stride)


def parts(layout, records):
    """Returns records as `BatchCrcs.wrong` takes them."""
    heads, rest = np.split(records, [layout.image_offset], axis=1)
    images, stored = np.split(rest, [layout.image_bytes], axis=1)
    return heads, np.ascontiguousarray(images), np.ascontiguousarray(stored).view("<u4")[:, 0]


def wrong(layout, records):
    """Returns the numbers of the records that are said to be damaged."""
    return np.flatnonzero(BatchCrcs(layout).wrong(*parts(layout, records))).tolist()


@given(st.integers(1, 6), st.integers(1, 300), st.integers(0, 20), st.data())
def test_any_damage(num_labels, image_bytes, num_records, data):
    layout = RecordLayout(num_labels=num_labels, image_bytes=image_bytes)
    records = made(layout, num_records)
    assert wrong(layout, records) == []
    places = st.tuples(st.integers(0, num_records - 1), st.integers(0, layout.stride - 1))
    flips = st.dictionaries(places, st.integers(1, 255), max_size=5) if num_records else st.just({})
    damage = data.draw(flips)
    for place, flipped in damage.items():
        records[place] ^= flipped
    assert wrong(layout, records) == sorted({record for record, _ in damage})


@pytest.mark.parametrize("record", [0, 2, 4])
def test_every_bit_of_a_record(record):
    """Of the length, its CRC, the head's keys, labels, row, image and the CRC behind them."""
    sound = made(SMALL, 5)
    for place in range(SMALL.stride):
        for bit in range(8):
            records = sound.copy()
            records[record, place] ^= 1 << bit
            assert wrong(SMALL, records) == [record], (place, bit)


@pytest.mark.parametrize("place", [0, 9, 30, SMALL.image_offset, SMALL.stride - 1])
def test_the_same_damage_to_two_records(place):
    """Added up without regard to where they stand, the two would cancel out."""
    for others in ([0, 1], [1, 4], [0, 4]):
        records = made(SMALL, 5)
        records[others, place] ^= 0x10
        assert wrong(SMALL, records) == others


def test_a_damaged_record_that_stands_there_twice():
    records = made(SMALL, 3)
    records[1, -9] ^= 1
    assert wrong(SMALL, records[[1, 0, 1, 2, 1, 1]]) == [0, 2, 4, 5]


@pytest.mark.parametrize(
    "part",
    [
        slice(SMALL.row_offset, SMALL.row_offset + 5),
        slice(SMALL.image_offset, SMALL.image_offset + SMALL.image_bytes),
        slice(-FOOTER_BYTES, None),
    ],
)
def test_parts_of_two_records_swapped(part):
    """Whole records may change places: each still has its CRC."""
    records = made(SMALL, 4)
    assert wrong(SMALL, records[[0, 2, 1, 3]]) == []
    records[1:3, part] = records[2:0:-1, part].copy()
    assert wrong(SMALL, records) == [1, 2]


@pytest.mark.parametrize("num_records", [1023, 1024, 1025, 2050])
def test_more_records_than_one_call_takes(num_records, monkeypatch):
    """The last call may have fewer. Sound records are never looked at alone."""
    crcs, records = BatchCrcs(SMALL), made(SMALL, num_records)
    calls = Mock(wraps=batch_crcs.crc32c)
    monkeypatch.setattr(batch_crcs, "crc32c", calls)
    assert not crcs.wrong(*parts(SMALL, records)).any()
    assert calls.call_count == -(-num_records // 1024)
    for record in (0, num_records // 2, num_records - 1):
        records[record, -9] ^= 4
        assert np.flatnonzero(crcs.wrong(*parts(SMALL, records))).tolist() == [record]
        records[record, -9] ^= 4
