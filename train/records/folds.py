"""Folds of a cross-validation: the records of a split in parts of equal size, chosen at random.

Record r is in fold p[r] mod count, p being the permutation `train.records.order.permutation` of
all records with seed and epoch 0 and window 2**32 - 2, which no order uses: a function of the
split's size alone, so that every process finds the same folds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from train.records.order import BLOCKS_WINDOW, Ints, permutation

_FOLDS_WINDOW = BLOCKS_WINDOW - 1


@dataclass(frozen=True, slots=True)
class Fold:
    """One of the parts.

    Attributes:
        index: In [0, count).
        count: Parts. At least 2.
    """

    index: int
    count: int

    def members(self, num_records: int) -> Ints:
        """Returns the numbers of the fold's records, ascending."""
        return np.flatnonzero(self._has(num_records))

    def others(self, num_records: int) -> Ints:
        """Returns the numbers of all other records, ascending."""
        return np.flatnonzero(~self._has(num_records))

    def _has(self, num_records: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        parts = permutation(num_records, 0, 0, _FOLDS_WINDOW) % self.count
        return parts == self.index
