"""Normalises the text of labels: makes texts equal that look the same.

Labels are put into Unicode's normal form C (UAX #15) and lose the blanks around them, so that `é`
is one class however it was typed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from convert.plan.spooled import TextColumn, blocks

if TYPE_CHECKING:
    import pyarrow as pa

Ints = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Changed:
    """Labels that were changed.

    Attributes:
        labels: How many.
        row: Manifest row of the first one.
        before: It, as the manifest has it.
        after: What it became.
    """

    labels: int
    row: int
    before: str
    after: str

    def plus(self, other: Changed | None) -> Changed:
        """Returns both as one."""
        if other is None:
            return self
        first = min(self, other, key=lambda changed: changed.row)
        return Changed(
            labels=self.labels + other.labels,
            row=first.row,
            before=first.before,
            after=first.after,
        )


def normal_text(labels: pa.Array) -> tuple[pa.Array, Changed | None]:
    """Returns labels in normal form C without blanks around them.

    Args:
        labels: large_string, or large_list<large_string>; no nulls.

    Returns:
        The labels, of the same type, and what was changed; None if nothing was.

    Raises:
        ShardfeedError: There is no room for temporary files.
    """
    total: Changed | None = None
    with TextColumn() as texts:
        for rows in blocks(len(labels)):
            normal, changed = _normal(labels[rows], rows.start)
            if changed is not None:
                if total is None:
                    texts.append(labels[: rows.start])  # what has been found as it should be
                total = changed.plus(total)
            if total is not None:
                texts.append(normal)
        return (labels, None) if total is None else (texts.finish(), total)


def _normal(labels: pa.Array, first_row: int) -> tuple[pa.Array, Changed | None]:
    """Returns some labels as they should be, and what that changed; see `normal_text`."""
    import pyarrow as pa
    from pyarrow import compute

    is_list = pa.types.is_large_list(labels.type)
    before = labels.flatten() if is_list else labels
    after = compute.utf8_trim_whitespace(before)
    if not compute.all(compute.string_is_ascii(before)).as_py():
        after = compute.utf8_normalize(after, "NFC")
    if after.equals(before):
        return labels, None
    places = compute.list_parent_indices(labels).to_numpy() if is_list else None
    changed = _changed(before, after, first_row, places)
    if is_list:
        offsets = np.concatenate([[0], np.cumsum(labels.value_lengths().to_numpy())])
        after = pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), after)
    return after, changed


def _changed(before: pa.Array, after: pa.Array, first_row: int, rows: Ints | None) -> Changed:
    """Returns how texts differ; `rows` holds the row of each, counted from the first one."""
    from pyarrow import compute

    differs: Ints = compute.not_equal(before, after).to_numpy(zero_copy_only=False)
    place = int(np.argmax(differs))
    return Changed(
        labels=int(np.count_nonzero(differs)),
        row=first_row + (place if rows is None else int(rows[place])),
        before=before[place].as_py(),
        after=after[place].as_py(),
    )
