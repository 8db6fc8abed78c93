"""The parts of the cache: what needs room, what gives way, addresses, totals."""

from __future__ import annotations

import random

import pytest

from train.cache.address_space import Addresses
from train.cache.counts import CacheTotals
from train.cache.eviction import CachedFile, candidates
from train.cache.window_bytes import largest_window
from train.records.order import RecordOrder

# Sizes


# What a window needs


@pytest.mark.parametrize("seed", range(40))
def test_no_window_needs_more_than_the_bound(seed):
    """Against all windows of some epochs, for shards of any sizes."""
    chance = random.Random(seed)
    number = chance.randint(1, 12)
    records = [chance.choice([0, 1, 3, 7, 10, 10, 10]) for _ in range(number)]
    records[0] += 1
    sizes = [n * chance.choice([100, 100, 130]) + chance.randint(0, 9) * (n > 0) for n in records]
    window = chance.randint(1, sum(records))
    order = RecordOrder(records, seed=seed, window=window)
    found = max(
        sum(sizes[span.shard] for span in order.window_spans(epoch, number))
        for epoch in range(50)
        for number in range(order.num_windows)
    )
    assert found <= largest_window(order, sizes) <= sum(sizes)
    plain = RecordOrder(records, seed=seed, window=window, shuffle=False)
    exact = max(
        sum(sizes[span.shard] for span in plain.window_spans(0, number))
        for number in range(plain.num_windows)
    )
    assert largest_window(plain, sizes) == exact


def test_the_bound_is_tight_for_equal_shards():
    order = RecordOrder([10] * 20, seed=0, window=40)
    assert largest_window(order, [1000] * 20) == 5000  # three whole ones between two others


def test_shards_are_told_in_the_order_of_their_next_use():
    order = RecordOrder([10] * 9, seed=3, window=25)
    for epoch in (0, 1):
        for window in range(order.num_windows):
            upcoming = [
                span.shard
                for place in [(epoch, w) for w in range(window, order.num_windows)]
                + [(epoch + 1, w) for w in range(order.num_windows)]
                for span in order.window_spans(*place)
            ]
            assert order.shards_from(epoch, window).tolist() == list(dict.fromkeys(upcoming))


# What gives way


def file(name, used=0, size=10):
    return CachedFile(name=name, size=size, used=used)


@pytest.mark.parametrize(
    ("rank", "share", "expected"),
    [
        (None, 0, ["old", "new", "last", "soon", "theirs"]),  # it has to go on
        (0.5, 0, ["old", "new", "last"]),  # only for what is used later
        (0.1, 0, ["old", "new", "last", "soon"]),
        (0.5, 30, ["old", "new", "theirs", "last"]),  # it has less than its share
        (None, 30, ["old", "new", "theirs", "last", "soon"]),
    ],
)
def test_what_gives_way(rank, share, expected):
    files = [file("soon"), file("theirs", 3), file("new", 9), file("last", 5), file("old", 1)]
    ranks = {"soon": 0.3, "last": 0.9}
    found = candidates(files, 10, rank, share, ranks.get, {"theirs"})
    assert [each.name for each in found] == expected


# Addresses


def test_a_file_lies_where_it_was_promised(tmp_path):
    sizes = [5000, 0, 4096, 10]
    addresses = Addresses(sizes)
    memories = [addresses.memory(number) for number in range(4)]
    assert [len(memory) for memory in memories] == sizes
    for number in (0, 2, 3):
        path = tmp_path / str(number)
        path.write_bytes(bytes([number + 1]) * sizes[number])
        with path.open("rb") as opened:
            addresses.lay(number, opened.fileno())
        assert (memories[number] == number + 1).all()
    addresses.clear(0)
    assert (memories[2] == 3).all()
    with (tmp_path / "0").open("rb") as opened:
        addresses.lay(0, opened.fileno())
    assert (memories[0] == 1).all()
    assert not memories[0].flags.writeable
    del addresses
    assert (memories[3] == 4).all()  # it lives as long as somebody looks


def test_addresses_cost_no_memory():
    addresses = Addresses([1 << 30] * 2000)  # two terabytes
    assert len(addresses.memory(1999)) == 1 << 30


def test_totals_are_told():
    totals = CacheTotals(
        hits=3, misses=2, fetched_bytes=2_000_000, fetch_seconds=0.5, waited_seconds=0.25
    )
    assert str(totals) == "3 shards were there, 2 fetched (2 MB at 4 MB/s), waited 0.2 s"
    assert str(totals - totals) == "0 shards were there, 0 fetched, waited 0.0 s"
    assert totals.to_json()["fetched_bytes_per_second"] == 4_000_000
    assert (totals - totals).to_json()["fetched_bytes_per_second"] is None
