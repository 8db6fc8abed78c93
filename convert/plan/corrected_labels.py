"""Replaces labels of a manifest by what corrections say."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from convert.errors import UsageError
from convert.plan.corrections import Correction, Corrections
from convert.plan.manifest import Manifest

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, kw_only=True, slots=True)
class Corrected:
    """What corrections came to.

    Attributes:
        manifest: The manifest with the labels that are right.
        decided: Rows that the file gives a text to, or leaves out, bool, shape (rows,).
        rejected: Rows that are left out, bool, shape (rows,).
        changed: Labels that were replaced.
        unchanged: Labels that the manifest had already as they should be.
        confirmed: Labels that were found right.
    """

    manifest: Manifest
    decided: np.ndarray[Any, np.dtype[np.bool_]]
    rejected: np.ndarray[Any, np.dtype[np.bool_]]
    changed: int
    unchanged: int
    confirmed: int

    def after(self, before: Corrected) -> Corrected:
        """Returns what this round and those before it came to together."""
        return replace(
            self,
            rejected=(before.rejected & ~self.decided) | self.rejected,
            changed=before.changed + self.changed,
            unchanged=before.unchanged + self.unchanged,
            confirmed=before.confirmed + self.confirmed,
        )

    def line(self) -> str:
        """Returns what was done, for people."""
        already = f", {self.unchanged:,} were so already" if self.unchanged else ""
        return (
            f"corrections: {self.changed:,} labels corrected{already}, {self.confirmed:,} found "
            f"right, {int(self.rejected.sum()):,} rows left out"
        )


def correct_in_turn(
    manifest: Manifest,
    rounds: Sequence[Corrections],
    columns: Sequence[str],
    *,
    is_text: bool,
    is_verbatim: bool,
) -> Corrected | None:
    """Replaces labels of a manifest by several files, each of which judged what those before left.

    Takes and raises what `correct` does.

    Returns:
        None if nobody has judged any label.
    """
    done: Corrected | None = None
    for one in rounds:
        if not one.entries and not one.confirmed:
            continue
        new = correct(
            done.manifest if done else manifest,
            one,
            columns,
            is_text=is_text,
            is_verbatim=is_verbatim,
        )
        done = new.after(done) if done else new
    return done


def correct(
    manifest: Manifest,
    corrections: Corrections,
    columns: Sequence[str],
    *,
    is_text: bool,
    is_verbatim: bool,
) -> Corrected:
    """Replaces labels of a manifest.

    Args:
        manifest: The manifest.
        corrections: What to replace.
        columns: The columns of the labels.
        is_text: Whether there is one, whose characters are the labels.
        is_verbatim: Whether labels stay as they are typed.

    Raises:
        UsageError: A correction fits no row, or another label than it was made for.
    """
    rows = _Rows(manifest, columns, is_text=is_text, is_verbatim=is_verbatim)
    places = _places(manifest, corrections)
    problems: list[str] = []
    texts: dict[int, str | None] = {}
    new: dict[int, list[str]] = {}
    unchanged = 0
    for one, row in zip(corrections.entries, places, strict=True):
        try:
            if isinstance(row, str):
                raise _MisfitError(row)
            if texts.setdefault(row, one.text) != one.text:
                raise _MisfitError(f"row {row} has another text in a line before")
            is_new = rows.require(row, one)
            if one.text is not None and is_new:
                new[row] = rows.split(one.text)
            unchanged += not is_new
        except _MisfitError as misfit:
            problems.append(f"line {one.line}: {misfit}")
    if problems:
        more = f" {len(problems) - 1:,} more lines do not fit." if problems[1:] else ""
        raise UsageError(
            f"--corrections {corrections.file}: {problems[0]}.{more} Take such lines out, or "
            "convert the manifest that was audited."
        )
    decided, rejected = np.zeros((2, manifest.num_rows), bool)
    decided[list(texts)] = True
    rejected[[row for row, text in texts.items() if text is None]] = True
    return Corrected(
        manifest=replace(manifest, columns={**manifest.columns, **rows.replaced(new)}),
        decided=decided,
        rejected=rejected,
        changed=len(new),
        unchanged=unchanged,
        confirmed=corrections.confirmed,
    )


class _MisfitError(Exception):
    """A correction does not fit the manifest; the end of a sentence."""


def _places(manifest: Manifest, corrections: Corrections) -> list[int | str]:
    """Returns the row of each correction, or why there is none."""
    import pyarrow as pa
    from pyarrow import compute

    paths = manifest.columns["path"]
    wanted = pa.array({one.path for one in corrections.entries}, pa.large_string())
    found = compute.is_in(paths, value_set=wanted).to_numpy(zero_copy_only=False)
    rows_of: dict[str, list[int]] = {}
    for row in np.flatnonzero(found).tolist():
        rows_of.setdefault(paths[row].as_py(), []).append(row)
    return [
        _place(one, rows_of.get(one.path, []), manifest.num_rows) for one in corrections.entries
    ]


def _place(one: Correction, rows: list[int], num_rows: int) -> int | str:
    """Returns the row of a correction, or why there is none.

    Args:
        one: The correction.
        rows: Those that have its path.
        num_rows: Of the manifest.
    """
    if not one.path:
        assert one.row is not None
        return one.row if one.row < num_rows else f"row {one.row} is beyond the manifest's last"
    if not rows:
        return f"no row has the path {one.path!r}"
    if len(rows) == 1:
        return rows[0]
    if one.row in rows:
        return one.row
    return f"{len(rows):,} rows have the path {one.path!r}; a column `row` must say which"


class _Rows:
    """The labels of a manifest's rows, as a dataset tells them and back."""

    def __init__(
        self, manifest: Manifest, columns: Sequence[str], *, is_text: bool, is_verbatim: bool
    ) -> None:
        self._columns = {name: manifest.columns[name] for name in columns}
        if any(str(column.type) != "large_string" for column in self._columns.values()):
            raise UsageError(
                f"--corrections: the labels of {manifest.path} are lists, which a text does not "
                "tell apart. Correct them in this file itself."
            )
        self._is_text, self._is_verbatim = is_text, is_verbatim

    def require(self, row: int, one: Correction) -> bool:
        """Checks that a row has the label that was judged; returns whether it is to be replaced."""
        labels = [self._normal(column[row].as_py()) for column in self._columns.values()]
        current = ("" if all(len(label) <= 1 for label in labels) else " ").join(labels)
        if one.text is not None and current == self._normal(one.text):
            return False
        if one.label is not None and current != self._normal(one.label):
            raise _MisfitError(
                f"row {row} is labelled {current!r}, and was {one.label!r} when it was judged"
            )
        return True

    def split(self, text: str) -> list[str]:
        """Returns the value of each column that a text stands for."""
        count = len(self._columns)
        if self._is_text or count == 1:
            return [text]
        words = text.split(" ")
        labels = words if len(words) == count else list(text)
        if len(labels) != count:
            raise _MisfitError(f"{text!r} are {len(labels):,} labels, expected {count:,}")
        return labels

    def replaced(self, new: dict[int, list[str]]) -> dict[str, pa.Array]:
        """Returns the columns with the labels of some rows replaced."""
        import pyarrow as pa
        from pyarrow import compute

        if not new:
            return {}
        rows = sorted(new)
        columns = {}
        for place, (name, column) in enumerate(self._columns.items()):
            is_new = np.zeros(len(column), bool)
            is_new[rows] = True
            values = pa.array([new[row][place] for row in rows], column.type)
            columns[name] = compute.replace_with_mask(column, pa.array(is_new), values)
        return columns

    def _normal(self, label: str) -> str:
        return label if self._is_verbatim else unicodedata.normalize("NFC", label.strip())
