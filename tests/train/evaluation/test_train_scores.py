"""Scores against the plainest way to count them, and against Keras."""

from __future__ import annotations

import math

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from train.evaluation.scores import (
    CALIBRATION_BINS,
    TOP,
    by_rarity,
    label_confidences,
    ranks,
    reliability,
    select,
    top_accuracy,
)
from train.model.metrics import character_accuracy

# Few values, so that many are equal; the borders of bins among them.
CONFIDENCES = st.sampled_from([0.0, 1 / 15, 0.2, 0.25, 0.5, 2 / 3, 0.9, 0.99, 1.0])
ANSWERS = st.lists(st.tuples(CONFIDENCES, st.booleans()), min_size=1, max_size=60)


def arrays(answers):
    confidences, right = zip(*answers, strict=True)
    return np.array(confidences), np.array(right)


def test_ranks_count_what_stands_before():
    logits = np.array([[3, 1, 2], [1, 1, 1], [0, np.nan, 1], [np.nan, 0, 0]], np.float32)
    assert ranks(logits, np.array([2, 1, 2, 0])).tolist() == [1, 0, 1, 3]
    assert ranks(logits, np.array([2, 1, 2, 0])).dtype == np.int32


@pytest.mark.parametrize("num_classes", [3, 7, 40])
def test_top_5_is_that_of_keras(num_classes):
    rng = np.random.default_rng(num_classes)
    logits = rng.integers(0, 12, (500, num_classes)).astype(np.float32)  # many are equal
    labels = rng.integers(0, num_classes, 500)
    metric = keras.metrics.SparseTopKCategoricalAccuracy(TOP)
    metric.update_state(labels, logits)
    found = (ranks(logits, labels) < TOP).mean()
    assert found == pytest.approx(float(metric.result()), abs=1e-6)
    assert found < 1 or num_classes <= TOP


def test_top_5_leaves_out_blanks_as_characters_do():
    labels = np.array([[0, 2], [1, 2], [1, 2], [0, 0]])
    predictions = np.array([[0, 2], [1, 0], [2, 2], [0, 1]])
    before = np.array([[0, 0], [0, 1], [7, 0], [0, 5]])
    # y1 is blank in both at records 0 and 2; of the six positions left, two are beyond the fifth.
    assert top_accuracy(labels, predictions, before, [None, 2]) == 4 / 6
    assert top_accuracy(labels, predictions, before, [None, None]) == 6 / 8
    right = np.where(labels == predictions, 0, 9)
    assert top_accuracy(labels, predictions, right, [None, 2]) == character_accuracy(
        labels, predictions, [None, 2]
    )


def test_top_5_of_nothing_but_blanks():
    blank = np.full((3, 2), 4)
    assert top_accuracy(blank, blank, np.zeros((3, 2), int), [4, 4]) == 0.0


@given(st.lists(st.tuples(CONFIDENCES, st.booleans()), min_size=1, max_size=400))
def test_reliability_by_hand(answers):
    confidences, right = arrays(answers)
    found = reliability(confidences, right)
    ordered = sorted(answers, key=lambda answer: answer[0])
    sizes = found.counts.tolist()
    assert sum(sizes) == len(answers)
    assert max(sizes) - min(sizes) <= 1
    assert len(sizes) == 1 or (len(sizes) <= CALIBRATION_BINS and min(sizes) >= 20)
    error, start = 0.0, 0
    for number, size in enumerate(sizes):
        among = ordered[start : start + size]
        start += size
        sure, good = sum(c for c, _ in among) / size, sum(r for _, r in among) / size
        assert (found.lows[number], found.highs[number]) == (among[0][0], among[-1][0])
        assert found.confidences[number] == pytest.approx(sure)
        assert found.accuracies[number] == pytest.approx(good)
        error += abs(good - sure) * size / len(answers)
    assert found.error == pytest.approx(error)


def test_calibration_error_of_an_example():
    """Ten answers at 0.9, of which seven are right: off by 0.2."""
    assert reliability(np.full(10, 0.9), np.arange(10) < 7).error == pytest.approx(0.2)
    assert reliability(np.array([[1.0, 1.0], [0.5, 0.5]]), np.array([[1, 1], [1, 0]])).error == 0


@pytest.mark.parametrize("records", [104, 1000])
def test_the_error_by_chance_is_that_of_confidences_that_are_perfect(records):
    rng = np.random.default_rng(0)
    confidences = rng.beta(8, 0.5, records)
    drawn = [reliability(confidences, rng.random(records) < confidences) for _ in range(400)]
    mean = np.mean([one.error for one in drawn])
    assert drawn[0].chance == pytest.approx(mean, rel=0.1)


@given(ANSWERS, st.sampled_from([0.01, 0.5, 0.9, 0.95, 0.99, 1.0]))
def test_the_cut_at_a_coverage_by_hand(answers, coverage):
    confidences, right = arrays(answers)
    for threshold in sorted({c for c, _ in answers}, reverse=True):
        accepted = [r for c, r in answers if c >= threshold]
        if len(accepted) * 100 >= round(coverage * 100) * len(answers):
            break
    cut = select(confidences, right).at_coverage(coverage)
    assert (cut.threshold, cut.coverage) == (threshold, len(accepted) / len(answers))
    assert cut.exact == sum(accepted) / len(accepted)


def test_coverages_are_met_to_the_last_bit():
    for size in range(1, 400):
        selection = select(np.linspace(1, 0.5, size), np.ones(size, bool))
        for percent in (90, 95, 99, 100):
            expected = -(-size * percent // 100)
            assert round(selection.at_coverage(percent / 100).coverage * size) == expected


def test_a_label_is_as_sure_as_its_outputs_together():
    """As `train predict` says it: a product in float64."""
    confidences = np.array([[0.9, 0.3, 0.77, 0.1]], np.float32)
    product = math.prod(confidences[0].tolist())
    assert label_confidences(confidences).tolist() == [product]
    three = np.repeat(confidences, 3, axis=0)
    assert label_confidences(three, [0.5, 1]).tolist() == [product**0.5, product, product**0.5]


@given(
    st.lists(st.tuples(st.integers(0, 6), st.booleans()), max_size=50),
    st.lists(st.sampled_from([0, 1, 9, 10, 99, 100, 5000]), min_size=7, max_size=7),
)
def test_rarity_by_hand(characters, class_counts):
    counts = np.array(class_counts)
    labels = np.array([label for label, _ in characters], int)
    right = np.array([r for _, r in characters], bool)
    groups = by_rarity(counts, counts[labels], right)
    assert [(group.least, group.most) for group in groups] == [
        (0, 0), (1, 9), (10, 99), (100, None),
    ]  # fmt: skip
    for group in groups:
        classes = {
            index
            for index, n in enumerate(class_counts)
            if n >= group.least and (group.most is None or n <= group.most)
        }
        successes = [r for label, r in characters if label in classes]
        assert (group.classes, group.characters) == (len(classes), len(successes))
        assert group.accuracy == (sum(successes) / len(successes) if successes else None)
