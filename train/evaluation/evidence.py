"""What records whose labels are known say of thresholds of confidence, with 95 % confidence.

How often a whole label is right above a threshold is bounded from below by the binomial tail
(Clopper and Pearson: The Use of Confidence or Fiducial Limits, Biometrika 1934). To look for a
threshold means to test many. They are fixed beforehand, and tested from strict to lax until the
first that fails, which keeps the 5 % for all of them together: fixed sequence testing, as in
Angelopoulos et al.: Learn then Test, 2021. Where the walk begins follows from the numbers of
records above the thresholds alone, never from how many of them are right.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

ERROR = 0.05
"""How often a bound may be wrong: 95 % confidence."""

THRESHOLDS = tuple(round(1 - 10 ** (-step / 10), 6) for step in range(40, -1, -1))
"""From 0.9999 down to 0, ten for each power of ten of what is left to 1."""

_BISECTIONS = 50  # halve [0, 1] to less than a float32 tells apart


@dataclass(frozen=True, kw_only=True, slots=True)
class Acceptance:
    """A threshold of confidence, and what is known of labels that reach it.

    Attributes:
        threshold: The least confidence that is accepted. In [0, 1].
        records: Records that reach it.
        wrong: Those of them whose label was misread.
        coverage: The records that reach it, of all. In (0, 1].
    """

    threshold: float
    records: int
    wrong: int
    coverage: float

    @property
    def at_least(self) -> float:
        """The share that is exact, bounded from below with 95 % confidence. In [0, 1)."""
        return lower_bound(self.records, self.wrong)


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """How many records reach each threshold, and how many of these were misread.

    Attributes:
        accepted: For each of `THRESHOLDS`, ascending; the last counts all records.
        wrong: Of those.
    """

    accepted: Sequence[int]
    wrong: Sequence[int]

    @property
    def records(self) -> int:
        """All records."""
        return self.accepted[-1]

    def acceptance(self, precision: float) -> Acceptance | str:
        """Returns the laxest threshold from which labels are exact so often, or why there is none.

        Args:
            precision: The share that must be exact, with 95 % confidence. In (0, 1).
        """
        found = None
        for index in self._walk(precision):
            if not self._holds(index, precision):
                break
            if found is None or self.accepted[index] > self.accepted[found]:
                found = index
        if found is not None:
            accepted = self.accepted[found]
            return Acceptance(
                threshold=THRESHOLDS[found],
                records=accepted,
                wrong=self.wrong[found],
                coverage=accepted / self.records,
            )
        needed = math.ceil(math.log(ERROR) / math.log(precision))
        if self.records < needed:
            return f"too few records to say: {self.records:,}, and it takes {needed:,}"
        first = next(iter(self._walk(precision)))
        wrong, accepted = self.wrong[first], self.accepted[first]
        return f"no threshold: of the surest {accepted:,} records {wrong:,} are misread"

    def _walk(self, precision: float) -> range:
        """Returns the thresholds to test: from the first that may pass with one record misread.

        From there one stray record does not end the walk. Where that takes more than half of the
        records, it begins at the first that may pass with none.
        """
        for allowed, most in ((1, self.records // 2), (0, self.records)):
            for index, accepted in enumerate(self.accepted):
                if accepted <= most and at_most(allowed, accepted, 1 - precision) <= ERROR:
                    return range(index, len(self.accepted))
        return range(0)

    def _holds(self, index: int, precision: float) -> bool:
        return at_most(self.wrong[index], self.accepted[index], 1 - precision) <= ERROR


def count_evidence(confidences: np.ndarray[Any, Any], right: np.ndarray[Any, Any]) -> Evidence:
    """Counts records above thresholds.

    Args:
        confidences: Of whole labels, in [0, 1], shape (records,).
        right: Which labels are right, shape (records,).
    """
    above = [confidences >= threshold for threshold in THRESHOLDS]
    return Evidence(
        accepted=[int(some.sum()) for some in above],
        wrong=[int((some & ~right).sum()) for some in above],
    )


def at_most(wrong: int, records: int, rate: float) -> float:
    """Returns the probability of at most so many misread records: a binomial tail.

    Args:
        wrong: In [0, records].
        records: Number of records.
        rate: Probability that one is misread. In (0, 1).
    """
    if wrong >= records:
        return 1.0
    drawn = np.arange(1, wrong + 1)
    ways = np.concatenate([[0.0], np.cumsum(np.log((records - drawn + 1) / drawn))])
    misread = np.arange(wrong + 1)
    terms = ways + misread * math.log(rate) + (records - misread) * math.log1p(-rate)
    return float(np.exp(terms).sum())


def lower_bound(records: int, wrong: int) -> float:
    """Returns what the share of right records is at least, with 95 % confidence.

    Args:
        records: Number of records. At least 1.
        wrong: Those that were misread. In [0, records].
    """
    low, high = 0.0, 1.0  # of the rate of misread ones
    for _ in range(_BISECTIONS):
        rate = (low + high) / 2
        low, high = (rate, high) if at_most(wrong, records, rate) > ERROR else (low, rate)
    return 1 - high
