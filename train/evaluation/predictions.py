"""A model's predictions for a split, and everything that is counted from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from convert.dataset.info import DatasetInfo
from train.evaluation.evidence import Evidence, count_evidence
from train.evaluation.scores import (
    CALIBRATION_BINS,
    TOP,
    RarityGroup,
    Reliability,
    Selection,
    by_rarity,
    label_confidences,
    reliability,
    select,
    top_accuracy,
)
from train.model.metrics import character_accuracy, exact_match, per_output_accuracy
from train.records.count_classes import ClassCounts

Floats = np.ndarray[Any, np.dtype[Any]]
Indices = np.ndarray[Any, np.dtype[np.int32]]

WORST = 10
"""Misread records that are named where the user does not say how many."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    """A model's predictions for a split, record by record; 16 bytes an output and record.

    Attributes:
        labels: True classes, int32, shape (records, outputs).
        predictions: Likeliest classes, int32, shape (records, outputs).
        confidences: How sure the model is of them, float32 in [0, 1], shape (records, outputs).
        ranks: Classes that stand before the true one, int32, shape (records, outputs).
        losses: Cross-entropy of each record, mean over the outputs, in nats, shape (records,).
        blanks: Index of each output's blank class, or None.
        powers: Of the products of confidences; that of record i is number i modulo their count.
    """

    labels: Indices
    predictions: Indices
    confidences: Floats
    ranks: Indices
    losses: Floats
    blanks: Sequence[int | None]
    powers: Sequence[float] = (1.0,)

    @property
    def exact(self) -> float:
        """Share of records with every output right. In [0, 1]."""
        return exact_match(self.labels, self.predictions)

    @property
    def character_accuracy(self) -> float:
        """Share of outputs that are right, rightly predicted blanks left out. In [0, 1]."""
        return character_accuracy(self.labels, self.predictions, self.blanks)

    @property
    def output_accuracies(self) -> list[float]:
        """Share of records that are right, for each output. In [0, 1]."""
        return per_output_accuracy(self.labels, self.predictions).tolist()

    @property
    def top5_accuracy(self) -> float:
        """As `character_accuracy`, but the true class need only be among the first five."""
        return top_accuracy(self.labels, self.predictions, self.ranks, self.blanks)

    @property
    def output_top5_accuracies(self) -> list[float]:
        """Share of records whose true class is among the first five, for each output."""
        found: list[float] = (self.ranks < TOP).mean(axis=0).tolist()
        return found

    @property
    def loss(self) -> float:
        """Mean cross-entropy of an output, in nats."""
        return float(self.losses.mean())

    @property
    def label_confidences(self) -> Floats:
        """Probability that the whole label is right, as the model sees it, shape (records,)."""
        return label_confidences(self.confidences, self.powers)

    def character_reliability(self) -> Reliability:
        """Compares confidence and success of each position.

        Blanks count: to leave out those that are right, and no others, would make every model
        look too sure of itself.
        """
        return reliability(self.confidences, self.labels == self.predictions)

    def label_reliability(self, bins: int = CALIBRATION_BINS) -> Reliability:
        """Compares confidence and success of whole labels, in so many bins at most."""
        return reliability(self.label_confidences, self.exact_records(), bins)

    def selection(self) -> Selection:
        """Counts, for each threshold of confidence, the records above it and the exact ones."""
        return select(self.label_confidences, self.exact_records())

    def evidence(self) -> Evidence:
        """Counts records and misread ones above fixed thresholds of confidence."""
        return count_evidence(self.label_confidences, self.exact_records())

    def exact_records(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Returns which records have every output right, shape (records,)."""
        right: np.ndarray[Any, np.dtype[np.bool_]] = np.all(self.labels == self.predictions, axis=1)
        return right


def rare_classes(
    evaluation: Evaluation, info: DatasetInfo, training: ClassCounts
) -> list[RarityGroup]:
    """Returns how well characters are read, by how often training saw their class.

    Args:
        evaluation: The predictions. Positions whose label is blank are no characters.
        info: The evaluated dataset.
        training: Occurrences of the classes in the training split.
    """
    vocabularies = list(zip(info.outputs.values(), evaluation.blanks, strict=True))
    counts = [np.delete(training[n], [] if b is None else b) for n, b in dict(vocabularies).items()]
    occurrences, right = [], []
    for position, (name, blank) in enumerate(vocabularies):
        labels = evaluation.labels[:, position]
        given = np.ones(len(labels), bool) if blank is None else labels != blank
        occurrences.append(training[name][labels[given]])
        right.append((labels == evaluation.predictions[:, position])[given])
    return by_rarity(np.concatenate(counts), np.concatenate(occurrences), np.concatenate(right))


def worst_records(evaluation: Evaluation, count: int = WORST) -> list[int]:
    """Returns the wrongly read records with the largest losses, the worst first."""
    order = np.argsort(-evaluation.losses, kind="stable")
    found: list[int] = order[~evaluation.exact_records()[order]][:count].tolist()
    return found


def least_certain_records(evaluation: Evaluation, count: int) -> list[int]:
    """Returns the records whose whole labels have the lowest confidence, the lowest first."""
    found: list[int] = np.argsort(evaluation.label_confidences, kind="stable")[:count].tolist()
    return found
