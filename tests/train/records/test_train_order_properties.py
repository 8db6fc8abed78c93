"""What holds for an order of any sizes, however it is asked and from however many threads."""

from __future__ import annotations

import itertools
import random
import sys
import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import train.records.order
from train.records.order import RecordOrder, permutation, stable_argsort

some_sizes = st.lists(st.integers(0, 9), min_size=1, max_size=8).filter(any)
some_windows = st.integers(1, 80)
some_seeds = st.integers(0, 2**64 - 1)
some_epochs = st.integers(0, 2**32 - 1)
some_parts = st.sampled_from([1, 3, 1 << 16])
PATIENCE_SECONDS = 30  # a thread that has not come back by then hangs


def formula(shard_records, seed, window, epoch):
    """The documentation of `train.records.order`, word for word and slowly."""

    def shuffled(items, number):
        key = np.array([seed, epoch << 32 | number], np.uint64)
        words = np.random.Philox(key=key).random_raw(len(items)).tolist()
        return [items[index] for index in sorted(range(len(items)), key=words.__getitem__)]

    ends = np.cumsum(shard_records).tolist()
    shards = [range(end - size, end) for end, size in zip(ends, shard_records, strict=True)]
    line = [record for shard in shuffled(shards, 2**32 - 1) for record in shard]
    return [
        record
        for number, start in enumerate(range(0, len(line), window))
        for record in shuffled(line[start : start + window], number)
    ]


@given(some_sizes, some_seeds, some_windows, some_epochs, some_parts)
@settings(max_examples=300)
def test_the_order_is_its_formula(shard_records, seed, window, epoch, part):
    order = RecordOrder(shard_records, seed=seed, window=window)
    with mock.patch.object(train.records.order, "_PART_RECORDS", part):
        records = order.records(epoch, 0, order.num_records).tolist()
    assert records == formula(shard_records, seed, window, epoch)
    assert sorted(records) == list(range(order.num_records)), "every record once an epoch"


@given(st.integers(2, 3_000), st.integers(1, 16), some_seeds, some_parts)
@settings(max_examples=100)
def test_equal_words_stay_in_order(num_words, num_bits, seed, part):
    """64 random bits are hardly ever equal; fewer bits are, also where two parts meet."""
    words = np.random.Philox(key=seed).random_raw(num_words) >> np.uint64(64 - num_bits)
    with mock.patch.object(train.records.order, "_PART_RECORDS", part):
        assert stable_argsort(words).tolist() == np.argsort(words, kind="stable").tolist()


@given(some_sizes, some_seeds, some_windows, some_epochs, st.booleans())
@settings(max_examples=300)
def test_a_window_holds_the_records_of_its_spans(shard_records, seed, window, epoch, shuffle):
    order = RecordOrder(shard_records, seed=seed, window=window, shuffle=shuffle)
    starts = np.cumsum([0, *shard_records])
    met = []
    for number in range(order.num_windows):
        stop = min((number + 1) * window, order.num_records)
        records = order.records(epoch, number * window, stop).tolist()
        spans = order.window_spans(epoch, number)
        lying = [starts[span.shard] + r for span in spans for r in range(span.start, span.stop)]
        assert sorted(records) == sorted(lying)
        assert all(0 <= span.start < span.stop <= shard_records[span.shard] for span in spans)
        met += spans
    # One after the other the spans go through whole shards: no shard is come back to.
    shards = [span.shard for span in met]
    changes = sum(before != after for before, after in itertools.pairwise(shards))
    assert changes == sum(size > 0 for size in shard_records) - 1
    for before, after in itertools.pairwise(met):
        assert after.start == (before.stop if before.shard == after.shard else 0)


@given(some_sizes, some_seeds, some_windows, some_epochs, st.booleans(), st.data())
@settings(max_examples=200)
def test_any_cut_gives_the_same_sequence(shard_records, seed, window, epoch, shuffle, data):
    """In any order of the calls, with other epochs in between."""
    order = RecordOrder(shard_records, seed=seed, window=window, shuffle=shuffle)
    whole = RecordOrder(shard_records, seed=seed, window=window, shuffle=shuffle).records(
        epoch, 0, order.num_records
    )
    cuts = data.draw(st.lists(st.integers(0, order.num_records), max_size=9).map(sorted))
    pieces = list(zip([0, *cuts], [*cuts, order.num_records], strict=True))
    found = {}
    for piece in data.draw(st.permutations(pieces)):
        order.records(data.draw(some_epochs), *piece)
        found[piece] = order.records(epoch, *piece)
    assert np.concatenate([found[piece] for piece in pieces]).tolist() == whole.tolist()


@given(some_sizes, some_seeds, st.integers(0, 50), some_epochs)
@settings(max_examples=100)
def test_a_window_beyond_the_split_is_the_split(shard_records, seed, beyond, epoch):
    size = sum(shard_records)
    exact = RecordOrder(shard_records, seed=seed, window=size)
    larger = RecordOrder(shard_records, seed=seed, window=size + beyond)
    assert larger.records(epoch, 0, size).tolist() == exact.records(epoch, 0, size).tolist()
    assert larger.window_spans(epoch, 0) == exact.window_spans(epoch, 0)


large_sizes = st.lists(st.integers(0, 30), min_size=1, max_size=8).filter(lambda s: sum(s) >= 30)


@given(large_sizes, st.sets(some_seeds, min_size=2, max_size=2), some_epochs)
@settings(max_examples=100)
def test_other_seeds_give_other_orders(shard_records, seeds, epoch):
    size = sum(shard_records)
    one, other = (RecordOrder(shard_records, seed=seed, window=30) for seed in seeds)
    assert one.records(epoch, 0, size).tolist() != other.records(epoch, 0, size).tolist()


@given(large_sizes, some_seeds, st.sets(some_epochs, min_size=2, max_size=2))
@settings(max_examples=100)
def test_other_epochs_give_other_orders(shard_records, seed, epochs):
    order = RecordOrder(shard_records, seed=seed, window=30)
    one, other = (order.records(epoch, 0, order.num_records).tolist() for epoch in epochs)
    assert one != other


@pytest.fixture
def restless_threads():
    """Lets threads take turns as often as the interpreter can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("restless_threads")
@pytest.mark.parametrize("window", [37, 100, 5_000])
def test_any_number_of_threads_gives_the_same_sequence(window):
    """Many more windows and epochs are asked for than are kept."""
    shard_records = [300, 0, 457, 1, 242]
    order = RecordOrder(shard_records, seed=5, window=window)
    pieces = [
        (epoch, start, min(start + 64, 1_000))
        for epoch in range(4)
        for start in range(0, 1_000, 64)
    ] * 3
    random.Random(0).shuffle(pieces)
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda piece: order.records(*piece).tolist(), pieces))
    expected = [formula(shard_records, 5, window, epoch) for epoch in range(4)]
    assert found == [expected[epoch][start:stop] for epoch, start, stop in pieces]


class Permutations:
    """Stands in for `order.permutation`: counts calls, and holds up chosen windows."""

    def __init__(self, monkeypatch, held=()):
        self.asked = []
        self.held = held
        self.begun = threading.Event()
        self.go_on = threading.Event()
        monkeypatch.setattr(train.records.order, "permutation", self)

    def __call__(self, num_items, seed, epoch, window):
        self.asked.append((epoch, window))
        if window in self.held:
            self.begun.set()
            assert self.go_on.wait(PATIENCE_SECONDS)
        return permutation(num_items, seed, epoch, window)


def test_a_window_is_computed_once_for_all_threads(monkeypatch):
    permutations = Permutations(monkeypatch, held=[0])
    order = RecordOrder([100], seed=0, window=100)
    with ThreadPoolExecutor(8) as threads:
        results = [threads.submit(order.records, 0, 0, 100) for _ in range(8)]
        assert permutations.begun.wait(PATIENCE_SECONDS)
        permutations.go_on.set()
        assert len({tuple(result.result().tolist()) for result in results}) == 1
    assert permutations.asked.count((0, 0)) == 1


def test_a_window_that_is_kept_is_there_while_the_next_is_computed(monkeypatch):
    permutations = Permutations(monkeypatch, held=[1])
    order = RecordOrder([100], seed=0, window=50)
    before = order.records(0, 0, 50).tolist()
    with ThreadPoolExecutor(2) as threads:
        slow = threads.submit(order.records, 0, 50, 100)
        assert permutations.begun.wait(PATIENCE_SECONDS)
        quick = threads.submit(order.records, 0, 0, 50)
        try:
            assert quick.result(PATIENCE_SECONDS).tolist() == before
            assert not slow.done()
        finally:
            permutations.go_on.set()
        assert sorted(slow.result().tolist() + before) == list(range(100))


def test_a_failure_leaves_nothing_behind(monkeypatch):
    """Out of memory once: the error comes out, and the next call computes anew."""

    def fail(*_):
        raise MemoryError

    order = RecordOrder([100], seed=0, window=100)
    with monkeypatch.context() as patch:
        patch.setattr(train.records.order, "permutation", fail)
        with pytest.raises(MemoryError):
            order.records(0, 0, 100)
    assert order.records(0, 0, 100).tolist() == formula([100], 0, 100, 0)


def test_the_result_is_the_callers_own():
    order = RecordOrder([100], seed=0, window=100)
    order.records(0, 0, 100)[:] = 0
    assert order.records(0, 0, 100).tolist() == formula([100], 0, 100, 0)


def test_bytes_a_record():
    """8 are kept of each of two windows; making one takes 16."""
    size = 1 << 18
    order = RecordOrder([size // 4] * 16, seed=0, window=size)
    order.records(0, 0, 1)  # what is loaded once does not count
    tracemalloc.start()
    try:
        kept = []
        for window in range(4):
            tracemalloc.reset_peak()
            before, _ = tracemalloc.get_traced_memory()
            order.records(1, window * size, window * size + 1)
            kept.append(tracemalloc.get_traced_memory()[0] / size)
            peak = tracemalloc.get_traced_memory()[1] - before
            assert peak / size < 17.5, "16, and the part at hand"
    finally:
        tracemalloc.stop()
    # The order of epoch 0, made before, is let go of by the second window.
    assert [round(bytes_kept) for bytes_kept in kept] == [8, 16, 16, 16]
