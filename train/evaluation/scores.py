"""Calibration, coverage and top-5 accuracy of predictions: NumPy only.

All shares are fractions in [0, 1]. A *confidence* is the probability that the model gives to its
own answer; that of a whole label is the product of its outputs'.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from train.model.metrics import counted_positions

Ints = np.ndarray[Any, np.dtype[np.integer[Any]]]
Floats = np.ndarray[Any, np.dtype[np.floating[Any]]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]

TOP = 5
"""An answer is among the first five, as is customary."""

CALIBRATION_BINS = 15
"""At most, as in Guo et al. 2017."""

_LEAST_IN_BIN = 20  # below, chance alone makes a gap of a tenth

PRECISIONS = (0.95, 0.99, 0.999)
"""Shares of right labels for which a user may want to know what can be read by machine alone."""

COVERAGES = (1.0, 0.99, 0.95, 0.9)
"""Shares of the records that a user may be content to read by machine."""

RARITIES = ((0, 0), (1, 9), (10, 99), (100, None))
"""Occurrences of a class in the training split: least and most of each group."""


def ranks(logits: Floats, labels: Ints) -> Ints:
    """Returns how many classes stand before the true one; equals do not, a NaN does.

    Args:
        logits: Shape (batch, classes).
        labels: Shape (batch,).

    Returns:
        int32 in [0, classes], shape (batch,).
    """
    at_label = logits[np.arange(len(logits)), labels]
    not_before = np.count_nonzero(logits <= at_label[:, None], axis=1)
    return (logits.shape[1] - not_before).astype(np.int32)


def top_accuracy(
    labels: Ints, predictions: Ints, ranks: Ints, blanks: Sequence[int | None]
) -> float:
    """Returns the share of positions whose true class is among the first `TOP`.

    Args:
        labels: Shape (records, outputs).
        predictions: Shape (records, outputs).
        ranks: Classes before the true one, shape (records, outputs).
        blanks: For each output the index of its blank class, or None. Positions that are blank in
            both label and prediction are left out, as in `character_accuracy`.

    Returns:
        In [0, 1]; 0.0 where no position is left.
    """
    counted = counted_positions(labels, predictions, blanks)
    return float((ranks < TOP)[counted].sum() / max(counted.sum(), 1))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Reliability:
    """How often answers are right, by how confident the model was, in bins of equally many.

    Confidences crowd near 1, where bins of equal width would hold nearly all answers in one.

    Attributes:
        counts: Answers in each bin, int64; the least confident bin first.
        lows: Their least confidence.
        highs: Their greatest.
        confidences: Their mean confidence.
        accuracies: Share of them that is right.
    """

    counts: Ints
    lows: Floats
    highs: Floats
    confidences: Floats
    accuracies: Floats

    @property
    def error(self) -> float:
        """The expected calibration error: the mean gap of an answer's bin. In [0, 1].

        Guo, Pleiss, Sun and Weinberger: On Calibration of Modern Neural Networks, ICML 2017; bins
        of equal mass as in Nguyen and O'Connor: Posterior Calibration, EMNLP 2015.
        """
        gaps = np.abs(self.accuracies - self.confidences)
        return float((gaps * self.counts).sum() / self.counts.sum())

    @property
    def chance(self) -> float:
        """The error to expect of perfect confidences, since so few answers are in a bin."""
        pairs = zip(self.counts.tolist(), self.confidences.tolist(), strict=True)
        return sum(_mean_deviation(*pair) for pair in pairs) / int(self.counts.sum())


def reliability(confidences: Floats, right: Bools, bins: int = CALIBRATION_BINS) -> Reliability:
    """Compares confidence and success.

    Args:
        confidences: In [0, 1], of any shape, at least one.
        right: Which answers are right, of the same shape.
        bins: At most so many; fewer where 20 answers would not be in each.
    """
    confidences, right = confidences.ravel().astype(np.float64), right.ravel()
    order = np.argsort(confidences, kind="stable")
    bins = min(bins, max(1, len(order) // _LEAST_IN_BIN))
    counts = np.array([len(part) for part in np.array_split(order, bins)])
    starts = np.cumsum(counts) - counts
    ordered = confidences[order]
    return Reliability(
        counts=counts,
        lows=ordered[starts],
        highs=ordered[starts + counts - 1],
        confidences=np.add.reduceat(ordered, starts) / counts,
        accuracies=np.add.reduceat(right[order].astype(np.int64), starts) / counts,
    )


def _mean_deviation(count: int, rate: float) -> float:
    """Returns how far a binomial count is from its mean, on average.

    De Moivre 1730; see Diaconis and Zabell: Closed Form Summation, Statistical Science 1991.

    Args:
        count: Of draws.
        rate: Probability of each. In [0, 1].
    """
    if not 0 < rate < 1:
        return 0.0
    above = min(math.floor(count * rate), count - 1) + 1
    ways = math.lgamma(count + 1) - math.lgamma(above + 1) - math.lgamma(count - above + 1)
    log = ways + above * math.log(rate) + (count - above + 1) * math.log1p(-rate)
    return 2 * above * math.exp(log)


@dataclass(frozen=True, kw_only=True, slots=True)
class Cut:
    """A threshold of confidence, and the records that it accepts.

    Attributes:
        threshold: The least confidence that is accepted. In [0, 1].
        coverage: Share of the records that are accepted. In (0, 1].
        exact: Share of them whose whole label is right. In [0, 1].
    """

    threshold: float
    coverage: float
    exact: float


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Selection:
    """Every cut that a threshold can make, from the strictest to none: selective prediction.

    Records of equal confidence are accepted together or not at all.

    Attributes:
        thresholds: Descending.
        coverages: Ascending, the last is 1.
        exacts: Share of right labels among those accepted.
    """

    thresholds: Floats
    coverages: Floats
    exacts: Floats

    def __getitem__(self, index: int) -> Cut:
        return Cut(
            threshold=float(self.thresholds[index]),
            coverage=float(self.coverages[index]),
            exact=float(self.exacts[index]),
        )

    def at_coverage(self, coverage: float) -> Cut:
        """Returns the strictest cut that accepts at least this share of the records."""
        return self[int(np.searchsorted(self.coverages, coverage))]


def select(confidences: Floats, right: Bools) -> Selection:
    """Accepts the records one by one, the most confident first.

    Args:
        confidences: Of whole labels, shape (records,), at least one record.
        right: Which labels are right, shape (records,).
    """
    order = np.argsort(-confidences, kind="stable")
    sorted_ = confidences[order]
    ends = np.flatnonzero(np.append(sorted_[1:] != sorted_[:-1], True))
    accepted = ends + 1
    return Selection(
        thresholds=sorted_[ends],
        coverages=accepted / len(sorted_),
        exacts=right[order].cumsum()[ends] / accepted,
    )


def label_confidences(confidences: Floats, powers: Sequence[float] = (1.0,)) -> Floats:
    """Returns the confidence of each whole label: float64, shape (records,).

    Args:
        confidences: Of each output, shape (records, outputs).
        powers: Of the products; that of record i is number i modulo their count.
    """
    product: Floats = confidences.prod(axis=1, dtype=np.float64)
    return product ** np.resize(np.array(powers), len(product))


@dataclass(frozen=True, kw_only=True, slots=True)
class RarityGroup:
    """Classes that occur about as often in the training split, and how well they are read.

    Attributes:
        least: Least occurrences of a class of this group.
        most: Most occurrences. None: no limit.
        classes: How many classes of the vocabularies are in it.
        characters: Positions of the evaluated split whose true class is in it.
        accuracy: Share of them that is right. None where there are none.
    """

    least: int
    most: int | None
    classes: int
    characters: int
    accuracy: float | None


def by_rarity(class_counts: Ints, occurrences: Ints, right: Bools) -> list[RarityGroup]:
    """Groups characters by how often their class was seen in training.

    Args:
        class_counts: For each class its occurrences in the training split, shape (classes,).
        occurrences: For each character the occurrences of its true class, shape (characters,).
        right: Which characters are right, shape (characters,).

    Returns:
        A group for each of `RARITIES`.
    """
    groups = []
    for least, most in RARITIES:
        limit = math.inf if most is None else most
        among = (occurrences >= least) & (occurrences <= limit)
        characters = int(among.sum())
        groups.append(
            RarityGroup(
                least=least,
                most=most,
                classes=int(((class_counts >= least) & (class_counts <= limit)).sum()),
                characters=characters,
                accuracy=float(right[among].mean()) if characters else None,
            )
        )
    return groups
