"""What a model makes of labels, and which of them are suspected to be wrong.

Source: Northcutt, Jiang, Chuang: Confident Learning: Estimating Uncertainty in Dataset Labels,
2021: how many labels are wrong is estimated class by class, and so many are suspected, those that
the model believes least. A whole label is believed as its least believed output is: Wang, Mueller:
Detecting Label Errors in Token Classification Data, 2022.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """Records, what they are labelled, and what was read in them; 16 bytes an output and record.

    Attributes:
        split: Number of each record's split, int64, shape (records,).
        record: Its number in the split, int64, shape (records,).
        row: Its manifest row, int64, shape (records,).
        labels: Classes that are given, int32, shape (records, outputs).
        readings: Likeliest classes, int32, shape (records, outputs).
        beliefs: Calibrated probability of the classes that are given ("self-confidence"), float32
            in [0, 1], shape (records, outputs).
        confidences: That of the likeliest classes, of the same shape.
        power: Of the product of the confidences, which is that of the whole reading, float64, shape
            (records,).
        fold: Which fold's run has judged it, from 1; 0: the run itself. int64, shape (records,).
    """

    split: Array
    record: Array
    row: Array
    labels: Array
    readings: Array
    beliefs: Array
    confidences: Array
    power: Array
    fold: Array

    @classmethod
    def join(cls, parts: Sequence[Judgement]) -> Judgement:
        """Returns several as one; records in the order of their splits and numbers."""
        columns = {
            field.name: np.concatenate([getattr(part, field.name) for part in parts])
            for field in fields(cls)
        }
        order = np.lexsort((columns["record"], columns["split"]))
        return cls(**{name: column[order] for name, column in columns.items()})

    def __len__(self) -> int:
        return len(self.row)

    @cached_property
    def belief(self) -> Array:
        """How far each whole label is believed: that of its least believed output."""
        least: Array = self.beliefs.min(axis=1)
        return least

    @cached_property
    def order(self) -> Array:
        """The records, the least believed first."""
        return np.argsort(self.belief, kind="stable")

    @cached_property
    def is_doubtful(self) -> Array:
        """Whether something else is read than the label, bool, shape (records,)."""
        doubtful: Array = (self.labels != self.readings).any(axis=1)
        return doubtful

    @property
    def sureness(self) -> Array:
        """How sure the model is of its reading of a whole label, shape (records,)."""
        product: Array = self.confidences.prod(axis=1) ** self.power
        return product

    def num_wrong(self, vocabularies: Sequence[int], sizes: Sequence[int]) -> int:
        """Estimates how many labels are wrong.

        Args:
            vocabularies: Number of each output's vocabulary.
            sizes: Classes of each vocabulary.
        """
        wrong = 0.0
        for vocabulary, size in enumerate(sizes):
            here = [place for place, one in enumerate(vocabularies) if one == vocabulary]
            wrong += wrong_labels(
                self.labels[:, here].ravel(),
                self.readings[:, here].ravel(),
                self.beliefs[:, here].ravel(),
                self.confidences[:, here].ravel(),
                size,
            )
        return round(wrong)

    def suspected(self, count: int) -> Array:
        """Returns the labels that are believed least, of those that are not what is read.

        Args:
            count: How many at most.

        Returns:
            bool, shape (records,).
        """
        chosen = np.zeros(len(self), bool)
        chosen[self.order[self.is_doubtful[self.order]][:count]] = True
        return chosen


def wrong_labels(
    labels: Array, readings: Array, beliefs: Array, confidences: Array, num_classes: int
) -> float:
    """Estimates how many labels of one vocabulary are wrong, from its "confident joint".

    A reading counts if the model is as sure of it as it is on average of labels of that class.
    Among the labels of a class, that share is wrong of which another class is read among the
    readings that count.

    Args:
        labels: Classes that are given, shape (n,).
        readings: Likeliest classes, shape (n,).
        beliefs: Probability of the classes that are given, in [0, 1], shape (n,).
        confidences: Probability of the likeliest classes, in [0, 1], shape (n,).
        num_classes: Classes of the vocabulary.
    """
    counts = np.bincount(labels, minlength=num_classes)
    limits = np.bincount(labels, beliefs, minlength=num_classes) / np.maximum(counts, 1)
    # The model may read a class that no label has.
    limits[counts == 0] = beliefs.mean()
    is_sure = confidences >= limits[readings]
    sure = np.bincount(labels[is_sure], minlength=num_classes)
    other = np.bincount(labels[is_sure & (labels != readings)], minlength=num_classes)
    return float((other / np.maximum(sure, 1) * counts).sum())
