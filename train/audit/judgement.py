"""What a model makes of labels, and which of them are suspected to be wrong.

Source: Northcutt, Jiang, Chuang: Confident Learning: Estimating Uncertainty in Dataset Labels,
2021. A label is suspected if the model reads another class, and is at least as sure of it as it
is on average of labels of that class. The rank of a whole label is that of its least believed
output: Wang, Mueller: Detecting Label Errors in Token Classification Data, 2022.
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
        beliefs: Probability of the classes that are given ("self-confidence"), float32 in [0, 1],
            shape (records, outputs).
        confidences: Probability of the likeliest classes, of the same shape.
        fold: Which fold's run has judged it, from 1; 0: the run itself. int64, shape (records,).
    """

    split: Array
    record: Array
    row: Array
    labels: Array
    readings: Array
    beliefs: Array
    confidences: Array
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
        product: Array = self.confidences.prod(axis=1)
        return product

    def suspected(self, vocabularies: Sequence[int], sizes: Sequence[int]) -> Array:
        """Returns which labels are suspected, bool, shape (records,).

        Args:
            vocabularies: Number of each output's vocabulary.
            sizes: Classes of each vocabulary.
        """
        found = np.zeros(len(self), bool)
        for vocabulary, size in enumerate(sizes):
            here = [place for place, one in enumerate(vocabularies) if one == vocabulary]
            labels, beliefs = self.labels[:, here], self.beliefs[:, here]
            readings, sure = self.readings[:, here], self.confidences[:, here]
            limits = class_limits(labels, beliefs, size)
            found |= ((labels != readings) & (sure >= limits[readings])).any(axis=1)
        return found


def class_limits(labels: Array, beliefs: Array, num_classes: int) -> Array:
    """Returns the mean belief in the labels of each class, float64, shape (num_classes,).

    A class that no label has gets the mean of all labels.

    Args:
        labels: Class indices, any shape.
        beliefs: Probabilities of these, in [0, 1], of the same shape.
        num_classes: Classes of the vocabulary.
    """
    counts = np.bincount(labels.ravel(), minlength=num_classes)
    sums = np.bincount(labels.ravel(), beliefs.ravel(), minlength=num_classes)
    return np.where(counts, sums / np.maximum(counts, 1), beliefs.mean())
