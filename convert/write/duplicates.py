"""Finds identical pictures in several splits, and those with different labels.

A model that was trained on its test pictures looks better than it is; equal pictures with different
labels cannot all be read correctly. Both are reported, not repaired: that is the user's choice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Ints = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Duplicates:
    """Pictures that occur more than once.

    Attributes:
        leaked: Pictures that stand in more than one split.
        conflicting: Pictures with more than one label.
        leaked_rows: Manifest rows of one leaked picture in two splits, or empty.
        conflicting_rows: Manifest rows of one picture with two labels, or empty.
    """

    leaked: int
    conflicting: int
    leaked_rows: tuple[int, ...]
    conflicting_rows: tuple[int, ...]

    def lines(self) -> list[str]:
        """Returns a warning for each kind that there is."""
        lines = []
        if self.leaked:
            lines.append(
                f"warning: {_pictures(self.leaked)} in more than one split, "
                f"{_example(self.leaked_rows)}; --group-column keeps such rows together"
            )
        if self.conflicting:
            lines.append(
                f"warning: {_pictures(self.conflicting)} there with different labels, "
                f"{_example(self.conflicting_rows)}"
            )
        return lines


def _pictures(count: int) -> str:
    return "1 identical picture is" if count == 1 else f"{count:,} identical pictures are"


def _example(rows: tuple[int, ...]) -> str:
    return "for example rows " + " and ".join(map(str, rows))


def find_duplicates(digests: Ints, rows: Ints, splits: Ints, labels: Ints) -> Duplicates:
    """Finds identical pictures.

    Args:
        digests: Of each record's image, uint64, shape (n,).
        rows: Manifest rows, shape (n,).
        splits: Index of the split, shape (n,).
        labels: Class indices, shape (n, outputs).
    """
    order = np.lexsort((rows, digests))  # the example is the same however shards were written
    ordered = digests[order]
    same = np.zeros(len(order) + 1, bool)  # as the record before it, for each but the first
    same[1:-1] = ordered[1:] == ordered[:-1]
    twice = order[same[:-1] | same[1:]]
    starts = np.flatnonzero(np.append(True, digests[twice][1:] != digests[twice][:-1]))
    starts = starts[: len(twice)]  # of no records there is no first
    first = np.repeat(twice[starts], np.diff(np.append(starts, len(twice))))
    return Duplicates(
        **_contradictions("leaked", rows, twice, first, splits[:, None]),
        **_contradictions("conflicting", rows, twice, first, labels),
    )


def _contradictions(
    name: str, rows: Ints, twice: Ints, first: Ints, values: Ints
) -> dict[str, Any]:
    """Counts groups of records in which a value is not that of the group's first record.

    Args:
        name: Of the count.
        rows: Manifest row of each record.
        twice: Records in groups, group by group.
        first: The first record of the group of each.
        values: Of each record, shape (n, k).
    """
    differs = (values[twice] != values[first]).any(axis=1)
    groups, where = np.unique(first[differs], return_index=True)
    found: tuple[int, ...] = ()
    if len(groups):
        lowest = where[np.argmin(rows[groups])]
        found = (int(rows[first[differs][lowest]]), int(rows[twice[differs][lowest]]))
    return {name: len(groups), f"{name}_rows": found}
