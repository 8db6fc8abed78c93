"""The order is arithmetic: golden values, and what must hold for any sizes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from train.order import RecordOrder, Span, default_window, permutation

sizes = st.lists(st.integers(0, 9), min_size=1, max_size=6).filter(any)
windows = st.integers(1, 40)
seeds = st.integers(0, 2**63 - 1)
epochs = st.integers(0, 2**32 - 1)


def test_golden_permutation():
    """These numbers must never change: old runs would resume in another order."""
    assert permutation(8, seed=0, epoch=0, window=0).tolist() == [0, 2, 1, 5, 4, 3, 6, 7]
    assert permutation(8, seed=7, epoch=3, window=2).tolist() == [4, 6, 3, 7, 2, 0, 1, 5]


def test_golden_order():
    order = RecordOrder([3, 4, 3], seed=1, window=4)
    assert order.records(0, 0, 10).tolist() == [3, 9, 7, 8, 4, 0, 6, 5, 1, 2]
    assert order.records(1, 0, 10).tolist() == [7, 0, 8, 9, 3, 2, 4, 1, 6, 5]


def test_golden_spans():
    """Epoch 0 has shards 2, 1, 0; a window takes the end of one and the start of the next."""
    order = RecordOrder([3, 4, 3, 0], seed=1, window=4)
    assert [order.window_spans(0, window) for window in range(order.num_windows)] == [
        [Span(shard=2, start=0, stop=3), Span(shard=1, start=0, stop=1)],
        [Span(shard=1, start=1, stop=4), Span(shard=0, start=0, stop=1)],
        [Span(shard=0, start=1, stop=3)],
    ]


@given(sizes, windows, seeds, epochs)
@settings(max_examples=200, deadline=None)
def test_every_record_once_an_epoch(shard_records, window, seed, epoch):
    order = RecordOrder(shard_records, seed=seed, window=window)
    records = order.records(epoch, 0, order.num_records)
    assert sorted(records.tolist()) == list(range(order.num_records))


@given(sizes, windows, seeds, epochs, st.data())
@settings(max_examples=200, deadline=None)
def test_any_part_of_an_epoch_is_that_part_of_the_whole(shard_records, window, seed, epoch, data):
    order = RecordOrder(shard_records, seed=seed, window=window)
    whole = RecordOrder(shard_records, seed=seed, window=window).records(
        epoch, 0, order.num_records
    )
    start = data.draw(st.integers(0, order.num_records))
    stop = data.draw(st.integers(start, order.num_records))
    assert order.records(epoch, start, stop).tolist() == whole[start:stop].tolist()


@given(sizes, windows, seeds)
@settings(max_examples=100, deadline=None)
def test_a_window_holds_whole_blocks_but_at_its_ends(shard_records, window, seed):
    """Records of a window come from neighbours in the line of blocks: few shards at a time."""
    order = RecordOrder(shard_records, seed=seed, window=window)
    shard_of = np.repeat(np.arange(len(shard_records)), shard_records)
    records = order.records(0, 0, order.num_records)
    seen: list[int] = []
    for start in range(0, order.num_records, window):
        shards = set(shard_of[records[start : start + window]].tolist())
        assert len(shards & set(seen[:-1])) == 0 or len(shards & set(seen)) <= 1
        seen += sorted(shards - set(seen))


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


def test_epochs_differ():
    order = RecordOrder([100], seed=0, window=100)
    assert order.records(0, 0, 100).tolist() != order.records(1, 0, 100).tolist()


def test_without_shuffling_records_stay_as_they_lie():
    order = RecordOrder([3, 2], seed=0, window=2, shuffle=False)
    assert order.records(5, 1, 5).tolist() == [1, 2, 3, 4]


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


@pytest.mark.parametrize(("start", "stop"), [(-1, 2), (3, 2), (0, 6)])
def test_positions_outside_the_epoch(start, stop):
    with pytest.raises(ValueError) as raised:
        RecordOrder([5], seed=0, window=5).records(0, start, stop)
    assert str(raised.value) == f"positions [{start}, {stop}) are not in [0, 5)."


def test_window_of_nothing():
    with pytest.raises(ValueError, match=r"^`window` must be at least 1, got 0\.$"):
        RecordOrder([5], seed=0, window=0)
