"""Copying scattered pieces: every byte right, whatever the lengths and the memories."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import train.records.reading.gather
from train.records.reading.gather import Memories

SIZES = (5_000, 0, 700, 3_000)


@pytest.fixture(scope="module")
def contents():
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, size, np.uint8) for size in SIZES]


@pytest.mark.parametrize("part_bytes", [1 << 30, 1_000])  # memories of one buffer, and of several
@pytest.mark.parametrize("length", [1, 4, 12, 13, 91, 500])  # Arrow keeps up to 12 bytes elsewhere
def test_pieces_are_those_of_the_memories(contents, monkeypatch, part_bytes, length):
    monkeypatch.setattr(train.records.reading.gather, "_PART_BYTES", part_bytes)
    rng = np.random.default_rng(length)
    memory = rng.choice([0, 2, 3], 60)
    offset = np.array([rng.integers(13, SIZES[number] - length + 1) for number in memory])
    copied = Memories(contents, longest=500).copy(memory, offset, length)
    expected = [contents[m][o : o + length] for m, o in zip(memory, offset, strict=True)]
    assert np.array_equal(copied, expected)
    assert copied.flags.c_contiguous
    assert copied.flags.writeable


def test_the_ends_of_a_memory(contents, monkeypatch):
    monkeypatch.setattr(train.records.reading.gather, "_PART_BYTES", 1_000)
    offsets = np.array([0, 999, 1_000, 4_980])
    copied = Memories(contents, longest=20).copy(np.zeros(4, int), offsets, 20)
    assert np.array_equal(copied, [contents[0][o : o + 20] for o in offsets])


def test_no_pieces(contents):
    none = np.zeros(0, np.int64)
    assert Memories(contents, longest=20).copy(none, none, 20).shape == (0, 20)


@given(st.lists(st.integers(0, 4_900), min_size=1, max_size=40))
def test_any_offsets(contents, offsets):
    copied = Memories(contents, longest=100).copy(
        np.zeros(len(offsets), int), np.array(offsets), 100
    )
    assert np.array_equal(copied, [contents[0][o : o + 100] for o in offsets])
