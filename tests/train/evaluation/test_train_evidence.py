"""Thresholds and what bounds them: binomial tails, and the walk from strict to lax."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from train.evaluation.evidence import (
    ERROR,
    THRESHOLDS,
    Acceptance,
    Evidence,
    at_most,
    count_evidence,
    lower_bound,
)


@given(st.integers(1, 60), st.integers(0, 60), st.sampled_from([0.001, 0.05, 0.5, 0.9]))
def test_the_tail_by_hand(records, wrong, rate):
    exact = Fraction(rate)
    terms = [
        math.comb(records, k) * exact**k * (1 - exact) ** (records - k)
        for k in range(min(wrong, records) + 1)
    ]
    assert at_most(wrong, records, rate) == pytest.approx(float(sum(terms)), rel=1e-9)


@pytest.mark.parametrize(
    ("records", "wrong", "bound"),
    [
        (299, 0, 0.9900),  # the rule of three
        (20, 1, 0.7839),  # one-sided limits of Clopper and Pearson, as tables have them
        (100, 10, 0.8363),
        (5, 5, 0.0),
    ],
)
def test_bounds_of_clopper_and_pearson(records, wrong, bound):
    assert lower_bound(records, wrong) == pytest.approx(bound, abs=1e-4)


def test_evidence_counts_what_reaches_each_threshold():
    found = count_evidence(np.array([0.995, 0.9, 0.1, 0.9]), np.array([True, False, False, True]))
    assert list(THRESHOLDS) == sorted(THRESHOLDS, reverse=True)
    counts = dict(zip(THRESHOLDS, zip(found.accepted, found.wrong, strict=True), strict=True))
    assert [counts[0.99], counts[0.9], counts[0.748811], counts[0.0]] == [
        (1, 0), (3, 1), (3, 1), (4, 2),
    ]  # fmt: skip
    assert found.records == 4


def evidence_of(steps) -> Evidence:
    """Returns evidence with (threshold, accepted, wrong) from these thresholds downwards."""
    found = dict.fromkeys(THRESHOLDS, (0, 0))
    for start, accepted, wrong in steps:
        found |= {threshold: (accepted, wrong) for threshold in THRESHOLDS if threshold <= start}
    accepted, wrong = zip(*found.values(), strict=True)
    return Evidence(accepted=accepted, wrong=wrong)


@pytest.mark.parametrize(
    ("steps", "precision", "expected"),
    [
        # The laxest that holds; of equal ones the strictest.
        ([(0.99, 500, 0), (0.9, 900, 2), (0.5, 1000, 60)], 0.99, (0.9, 900, 2, 0.9)),
        # One misread record among the first does not end it,
        ([(0.999, 320, 1), (0.9, 480, 1), (0.0, 1000, 100)], 0.99, (0.9, 480, 1, 0.48)),
        # but of few records all must be right.
        ([(0.9, 310, 0), (0.0, 400, 40)], 0.99, (0.9, 310, 0, 0.775)),
        # Below one that fails nothing counts, though it would pass.
        (
            [(0.99, 500, 9), (0.0, 10_000, 9)],
            0.99,
            "no threshold: of the surest 500 records 9 are misread",
        ),
        ([(0.9, 298, 0)], 0.99, "too few records to say: 298, and it takes 299"),
        ([(0.9, 2_994, 0)], 0.999, "too few records to say: 2,994, and it takes 2,995"),
    ],
)
def test_the_laxest_threshold_that_holds(steps, precision, expected):
    found = evidence_of(steps).acceptance(precision)
    if isinstance(expected, str):
        assert found == expected
        return
    assert isinstance(found, Acceptance)
    assert found.at_least >= precision
    assert (found.threshold, found.records, found.wrong, found.coverage) == expected


def test_no_promise_is_broken_more_often_than_it_says():
    """Labels are right in a little less than 95 % above every threshold: hardly ever promised."""
    rng = np.random.default_rng(0)
    promised = 0
    for _ in range(400):
        confidences = rng.beta(3, 0.3, 600)
        found = count_evidence(confidences, rng.random(600) < 0.9499).acceptance(0.95)
        promised += isinstance(found, Acceptance)
    assert 0 < promised / 400 <= ERROR + 0.025
