"""Several datasets by weight: shares exact, nothing lost or doubled, any place at once."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from train.errors import UsageError
from train.records.mixture import PERIOD, MixedOrder, quotas
from train.records.order import RecordOrder

SIZES = ([40, 30], [25], [10, 0, 5])
ENDS = np.cumsum([70, 25, 15])


def mixed(weights=(3, 1, 1), seed=7, sizes=SIZES):
    orders = [RecordOrder(shards, seed=seed, window=20) for shards in sizes]
    return MixedOrder(orders, weights, seed)


def dataset_of(records):
    return np.searchsorted(ENDS, records, side="right")


def test_the_order_is_a_documented_formula():
    """These numbers are part of every run's order: they may never change."""
    assert mixed().records(0, 0, 12).tolist() == [78, 48, 98, 56, 44, 109, 41, 46, 106, 43, 96, 86]
    assert mixed().records(5, 100, 103).tolist() == [98, 70, 39]


def test_shares_are_exact_in_each_period():
    order = mixed()
    line = np.concatenate([order.records(epoch, 0, 110) for epoch in range(PERIOD // 110 + 1)])
    counts = np.bincount(dataset_of(line[:PERIOD]))
    assert counts.tolist() == list(quotas((3, 1, 1), 3)) == [39322, 13107, 13107]


def test_each_dataset_is_seen_whole_before_it_is_seen_again():
    """However the epochs of the mixture lie, each stream goes through its own epochs."""
    order = mixed()
    line = np.concatenate([order.records(epoch, 0, 110) for epoch in range(30)])
    for number, first in enumerate((0, 70, 95)):
        stream = line[dataset_of(line) == number] - first
        own = RecordOrder(SIZES[number], seed=7, window=20)
        epochs = len(stream) // own.num_records + 1
        expected = np.concatenate([own.records(e, 0, own.num_records) for e in range(epochs)])
        assert np.array_equal(stream, expected[: len(stream)])


@given(
    epoch=st.integers(0, 2_000),
    cuts=st.lists(st.integers(0, 110), max_size=6),
    seed=st.integers(0, 2**63 - 1),
)
def test_any_cut_gives_the_same_line(epoch, cuts, seed):
    whole = mixed(seed=seed).records(epoch, 0, 110)
    edges = [0, *sorted(cuts), 110]
    order = mixed(seed=seed)
    pieces = [order.records(epoch, a, b) for a, b in itertools.pairwise(edges)]
    assert np.array_equal(np.concatenate(pieces), whole)


def test_where_each_dataset_stands():
    order = mixed()
    for epoch, position in ((0, 0), (3, 17), (700, 109)):
        before = np.concatenate([
            *(order.records(e, 0, 110) for e in range(epoch)), order.records(epoch, 0, position)
        ])  # fmt: skip
        counts = np.bincount(dataset_of(before), minlength=3)
        expected = [divmod(int(n), size) for n, size in zip(counts, (70, 25, 15), strict=True)]
        assert order.places(epoch, position) == expected


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ((1,), (PERIOD,)),
        ((1, 1), (PERIOD // 2, PERIOD // 2)),
        ((1, 1, 1), (21846, 21845, 21845)),  # the remainder goes to the first
        ((0.001, 0.999), (66, 65470)),
    ],
)
def test_quotas(weights, expected):
    assert quotas(weights, len(weights)) == expected


@pytest.mark.parametrize("weights", [(1,), (1, 0), (1, -1), (1, float("inf")), (1, float("nan"))])
def test_weights_that_are_none(weights):
    with pytest.raises(UsageError, match=r"^weights must be 2 numbers above 0, one a dataset, got"):
        quotas(weights, 2)


def test_a_weight_too_small_to_be_kept():
    with pytest.raises(UsageError) as raised:
        quotas((1, 1e-9), 2)
    assert str(raised.value) == (
        "the smallest weight must be at least 1/65536 of all, got [1, 1e-09]."
    )
