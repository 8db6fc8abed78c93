"""Which classes a model takes for which others."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from convert.dataset.info import DatasetInfo
from train.evaluation.predictions import Evaluation

_PAIRS = 10
_MATRIX = 60  # classes: more cells than a page is wide for


@dataclass(frozen=True, kw_only=True, slots=True)
class ConfusedPair:
    """A class that was taken for another.

    Attributes:
        true: Name of the true class; empty for the blank.
        predicted: Name of the predicted one.
        count: How often, in all outputs.
        share: The same, of all occurrences of the true class. In (0, 1].
    """

    true: str
    predicted: str
    count: int
    share: float


@dataclass(frozen=True, kw_only=True, slots=True)
class ConfusionMatrix:
    """How often each class was read as each, in all outputs.

    Attributes:
        names: The classes, those with the most confusions first, of equals as in the vocabulary.
        counts: int64, shape (true, predicted), both in the order of the names.
        shares: The same, of all occurrences of the true class, float64 in [0, 1].
        is_whole: Whether no class that occurs is left out.
    """

    names: list[str]
    counts: np.ndarray[Any, np.dtype[np.int64]]
    shares: np.ndarray[Any, np.dtype[np.float64]]
    is_whole: bool


def confused_pairs(evaluation: Evaluation, info: DatasetInfo) -> list[ConfusedPair]:
    """Returns the commonest confusions, the commonest first."""
    counts = _readings(evaluation, info)
    occurrences = _occurrences(counts)
    wrong = ((pair, count) for pair, count in counts.items() if pair[0] != pair[1])
    ranked = sorted(wrong, key=lambda item: (-item[1], item[0]))
    return [
        ConfusedPair(true=true, predicted=predicted, count=n, share=n / occurrences[true])
        for (true, predicted), n in ranked[:_PAIRS]
    ]


def confusion_matrix(evaluation: Evaluation, info: DatasetInfo) -> ConfusionMatrix:
    """Counts the confusions of the classes that occur; of more than 60 those with the most."""
    counts = _readings(evaluation, info)
    occurrences, confusions = _occurrences(counts), Counter[str]()
    for (true, predicted), count in counts.items():
        if true != predicted:
            confusions.update({true: count, predicted: count})
    occurring = set(occurrences) | set(confusions)
    names = [n for n in dict.fromkeys(sum(info.vocabularies.values(), ())) if n in occurring]
    is_whole = len(names) <= _MATRIX
    names.sort(key=lambda name: -confusions[name])
    names = [n for n in names if is_whole or confusions[n]][:_MATRIX]
    found = np.array([[counts[true, read] for read in names] for true in names], np.int64)
    totals = np.array([[max(1, occurrences[name])] for name in names])
    return ConfusionMatrix(names=names, counts=found, shares=found / totals, is_whole=is_whole)


def _readings(evaluation: Evaluation, info: DatasetInfo) -> Counter[tuple[str, str]]:
    """Counts how often each class was read as which, in all outputs.

    Only what occurs is counted, never all pairs: of 21,000 classes there are 441 million.
    """
    counts: Counter[tuple[str, str]] = Counter()
    for position, classes in enumerate(info.classes.values()):
        labels, predictions = evaluation.labels[:, position], evaluation.predictions[:, position]
        codes = labels.astype(np.int64) * len(classes) + predictions
        found, times = np.unique(codes, return_counts=True)
        for code, count in zip(found.tolist(), times.tolist(), strict=True):
            counts[classes[code // len(classes)], classes[code % len(classes)]] += count
    return counts


def _occurrences(counts: Counter[tuple[str, str]]) -> Counter[str]:
    """Returns how often each class is the true one."""
    occurrences: Counter[str] = Counter()
    for (true, _), count in counts.items():
        occurrences[true] += count
    return occurrences
