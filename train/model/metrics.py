"""Accuracies of predictions: of characters, of outputs and of whole labels.

Counted from the arrays of a finished evaluation with NumPy; `Recogniser` counts the same inside
`fit` with keras.ops, and both must agree. All accuracies are fractions in [0, 1]. A blank is the
class that stands for "no character here" in a padded text.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.integer[Any]]

NO_BLANK = -1  # of an output whose every class is a character; no class has this index


def exact_match(labels: Indices, predictions: Indices) -> float:
    """Returns the fraction of records with every position right; blanks count like characters.

    Args:
        labels: Integers, shape (records, outputs).
        predictions: Integers, shape (records, outputs).

    Raises:
        ValueError: The shapes differ or there are no records.
    """
    return float(_right(labels, predictions).all(axis=1).mean())


def character_accuracy(
    labels: Indices, predictions: Indices, blanks: Sequence[int | None]
) -> float:
    """Returns the fraction of positions that are right, over all outputs.

    Args:
        labels: Integers, shape (records, outputs).
        predictions: Integers, shape (records, outputs).
        blanks: For each output the index of its blank class, or None. Positions that are blank in
            both label and prediction are left out.

    Returns:
        In [0, 1]; 0.0 where no position is left, as Keras has it.

    Raises:
        ValueError: The shapes differ, there are no records, or not one blank per output.
    """
    right = _right(labels, predictions)
    counted = counted_positions(labels, predictions, blanks)
    return float((right & counted).sum() / max(counted.sum(), 1))


def counted_positions(
    labels: Indices, predictions: Indices, blanks: Sequence[int | None]
) -> npt.NDArray[np.bool_]:
    """Returns which positions are characters: all but those that are rightly read as blank.

    Args:
        labels: Integers, shape (records, outputs).
        predictions: Integers, shape (records, outputs).
        blanks: For each output the index of its blank class, or None.

    Raises:
        ValueError: Not one blank per output.
    """
    if len(blanks) != labels.shape[1]:
        raise ValueError(f"Expected {labels.shape[1]} blanks, one per output, got {len(blanks)}.")
    indices = np.array([blank_index(blank) for blank in blanks])
    return (labels != predictions) | (labels != indices)


def per_output_accuracy(labels: Indices, predictions: Indices) -> npt.NDArray[np.float64]:
    """Returns for each output the fraction of records that it has right; blanks count.

    Args:
        labels: Integers, shape (records, outputs).
        predictions: Integers, shape (records, outputs).

    Returns:
        float64, shape (outputs,).

    Raises:
        ValueError: The shapes differ or there are no records.
    """
    accuracy: npt.NDArray[np.float64] = _right(labels, predictions).mean(axis=0)
    return accuracy


def _right(labels: Indices, predictions: Indices) -> npt.NDArray[np.bool_]:
    """Returns where label and prediction agree: bool, shape (records, outputs)."""
    if labels.shape != predictions.shape or labels.ndim != 2 or not labels.size:
        raise ValueError(
            "`labels` and `predictions` must both have shape (records, outputs) with at least one "
            f"record, got {labels.shape} and {predictions.shape}."
        )
    return np.equal(labels, predictions)


def blank_index(blank: int | None) -> int:
    """Returns the index of a blank class, or one that no class has."""
    return NO_BLANK if blank is None else blank
