"""Normalises the text of labels: makes texts equal that look the same.

Labels are put into Unicode's normal form C (UAX #15) and lose the blanks around them, so that `é`
is one class however it was typed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

_TEXTS_AT_ONCE = 65_536  # bounds what exists twice


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
    """
    import pyarrow as pa

    if not pa.types.is_large_list(labels.type):
        texts = _normal(labels)
        return (labels, None) if texts is None else (texts, _changed(labels, texts))
    before = labels.flatten()
    after = _normal(before)
    if after is None:
        return labels, None
    changed = _changed(before, after)
    offsets = np.concatenate([[0], np.cumsum(labels.value_lengths().to_numpy())])
    row = int(np.searchsorted(offsets, changed.row, side="right")) - 1
    lists = pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), after)
    return lists, Changed(
        labels=changed.labels, row=row, before=changed.before, after=changed.after
    )


def _normal(texts: pa.Array) -> pa.Array | None:
    """Returns texts as they should be; None if all of them are."""
    import pyarrow as pa
    from pyarrow import compute

    parts = []
    is_changed = False
    for start in range(0, len(texts), _TEXTS_AT_ONCE):
        part = texts.slice(start, _TEXTS_AT_ONCE)
        result = compute.utf8_trim_whitespace(part)
        if not compute.all(compute.string_is_ascii(part)).as_py():
            result = compute.utf8_normalize(result, "NFC")
        equal = result.equals(part)
        is_changed |= not equal
        parts.append(part if equal else result)
    return pa.concat_arrays(parts) if is_changed else None


def _changed(before: pa.Array, after: pa.Array) -> Changed:
    from pyarrow import compute

    differs: np.ndarray[Any, Any] = compute.not_equal(before, after).to_numpy(zero_copy_only=False)
    row = int(np.argmax(differs))
    return Changed(
        labels=int(np.count_nonzero(differs)),
        row=row,
        before=before[row].as_py(),
        after=after[row].as_py(),
    )
