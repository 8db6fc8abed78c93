"""The order is arithmetic: golden values, the edges, and what windows tell."""

from __future__ import annotations

import hashlib

import pytest

import train.records.order
from train.records.order import BLOCKS_WINDOW, RecordOrder, Span, default_window, permutation


def test_golden_permutation():
    """These numbers must never change: old runs would resume in another order."""
    assert permutation(8, seed=0, epoch=0, window=0).tolist() == [0, 2, 1, 5, 4, 3, 6, 7]
    assert permutation(8, seed=7, epoch=3, window=2).tolist() == [4, 6, 3, 7, 2, 0, 1, 5]


def test_golden_order():
    order = RecordOrder([3, 4, 3], seed=1, window=4)
    assert order.records(0, 0, 10).tolist() == [3, 9, 7, 8, 4, 0, 6, 5, 1, 2]
    assert order.records(1, 0, 10).tolist() == [7, 0, 8, 9, 3, 2, 4, 1, 6, 5]


def test_golden_order_at_the_ends_of_the_ranges():
    order = RecordOrder([1000] * 7 + [0, 1], seed=2**64 - 1, window=1500)
    records = order.records(2**32 - 1, 0, order.num_records).astype("<i8")
    assert hashlib.sha256(records.tobytes()).hexdigest() == (
        "c0b43e24c502939ad541b0a5bdd5f4c704030850e54c7d5905b5dcd967c43228"
    )


def test_golden_spans():
    """Epoch 0 has shards 2, 1, 0; a window takes the end of one and the start of the next."""
    order = RecordOrder([3, 4, 3, 0], seed=1, window=4)
    assert [order.window_spans(0, window) for window in range(order.num_windows)] == [
        [Span(shard=2, start=0, stop=3), Span(shard=1, start=0, stop=1)],
        [Span(shard=1, start=1, stop=4), Span(shard=0, start=0, stop=1)],
        [Span(shard=0, start=1, stop=3)],
    ]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"seed": 2}, "the seed"),
        ({"window": 40}, "the window"),
        ({"shard_records": [50, 50]}, "where shards end"),
    ],
)
def test_the_order_depends_on(change, reason):
    arguments = {"shard_records": [30, 30, 40], "seed": 1, "window": 100}
    before = RecordOrder(**arguments).records(0, 0, 100)
    after = RecordOrder(**(arguments | change)).records(0, 0, 100)
    assert before.tolist() != after.tolist(), reason


def test_without_shuffling_records_stay_as_they_lie():
    order = RecordOrder([3, 2], seed=0, window=2, shuffle=False)
    assert order.records(5, 1, 5).tolist() == [1, 2, 3, 4]
    assert [order.window_spans(5, window) for window in range(order.num_windows)] == [
        [Span(shard=0, start=0, stop=2)],
        [Span(shard=0, start=2, stop=3), Span(shard=1, start=0, stop=1)],
        [Span(shard=1, start=1, stop=2)],
    ]


def test_shards_are_laid_out_once_an_epoch(monkeypatch):
    """Entering somewhere costs one window, and the 10,000 shards are sorted for the first only."""
    asked = []

    def counted(num_items, seed, epoch, window):
        asked.append((num_items, epoch, window))
        return permutation(num_items, seed, epoch, window)

    monkeypatch.setattr(train.records.order, "permutation", counted)
    order = RecordOrder([7] * 10_000, seed=3, window=1_000)
    order.records(4, 66_500, 69_500)
    order.window_spans(4, 0)
    assert asked == [
        (1_000, 4, 66),
        (10_000, 4, BLOCKS_WINDOW),
        (1_000, 4, 67),
        (1_000, 4, 68),
        (1_000, 4, 69),
    ]


@pytest.mark.parametrize(
    ("num_records", "stride", "window"),
    [
        (1_000, 12_379, 1_000),  # all of a split below 4 GiB
        (1_000_000, 12_379, 346_955),  # else what 4 GiB hold
        (5, 2**33, 1),  # never nothing
    ],
)
def test_default_window(num_records, stride, window):
    assert default_window(num_records, stride) == window


@pytest.mark.parametrize(
    ("num_records", "window", "num_windows"),
    [
        (5, 5, 1),
        (5, 6, 1),  # larger than the split
        (5, 2, 3),  # the last one is short
        (6, 2, 3),
        (0, 2, 0),
    ],
)
def test_num_windows(num_records, window, num_windows):
    order = RecordOrder([num_records], seed=0, window=window)
    assert order.num_windows == num_windows
    windows = [order.window_of(position) for position in range(num_records)]
    assert sorted(set(windows)) == list(range(num_windows))
    assert windows == [position // window for position in range(num_records)]


def test_a_split_without_records():
    assert RecordOrder([0, 0], seed=0, window=5).records(0, 0, 0).tolist() == []


@pytest.mark.parametrize(("start", "stop"), [(-1, 2), (3, 2), (0, 6)])
def test_positions_outside_the_epoch(start, stop):
    with pytest.raises(ValueError) as raised:
        RecordOrder([5], seed=0, window=5).records(0, start, stop)
    assert str(raised.value) == f"positions [{start}, {stop}) are not in [0, 5)."


@pytest.mark.parametrize("position", [-1, 5])
def test_position_outside_the_epoch(position):
    with pytest.raises(ValueError) as raised:
        RecordOrder([5], seed=0, window=5).window_of(position)
    assert str(raised.value) == f"position {position} is not in [0, 5)."


@pytest.mark.parametrize("window", [-1, 3])
def test_window_outside_the_epoch(window):
    with pytest.raises(ValueError) as raised:
        RecordOrder([5], seed=0, window=2).window_spans(0, window)
    assert str(raised.value) == f"window {window} is not in [0, 3)."


def test_window_of_nothing():
    with pytest.raises(ValueError, match=r"^`window` must be at least 1, got 0\.$"):
        RecordOrder([5], seed=0, window=0)
