"""Manifests: one row an image, in columns of text.

Every value stays the text it was: `0012`, `NA` and dates are never reinterpreted; integers of
typed formats become their decimal text.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from convert.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa

BOX_COLUMNS = ("left", "top", "right", "bottom")
"""The columns of a row's own crop box."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """A manifest in memory.

    Attributes:
        path: The file as the user named it; messages quote it.
        columns: Column name -> text values, in the file's order, no nulls. `path` holds the
            paths, whatever the file calls them; a text column may hold lists of labels.
        num_rows: Data rows. At least 1.
        sha256: Digest of the file's bytes, in hexadecimal.
        names: The columns as the file names them.
        text_column: Column whose characters are the labels. None: there is none, or several.
        label_columns: Columns of one label each.
        notes: Lines that tell how it was read.
        line_of: Row -> 1-based line on which it begins. None: it has no lines, or is not here.
    """

    path: str
    columns: dict[str, pa.Array]
    num_rows: int
    sha256: str
    names: tuple[str, ...] = ()
    text_column: str | None = None
    label_columns: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    line_of: Callable[[int], int] | None = None

    def column(self, name: str, flag: str) -> pa.Array:
        """Returns a column of text.

        Args:
            name: The column's name.
            flag: What asked for it; messages quote it.

        Raises:
            UsageError: There is no such column.
        """
        if name not in self.columns:
            raise UsageError(
                f"{self.path}: no column {name!r} (from {flag}); "
                f"the columns are {', '.join(self.names or self.columns)}."
            )
        return self.columns[name]

    def where(self, row: int) -> str:
        """Returns where a row stands, for messages: `row 5`, and its line in a text file."""
        return f"row {row}" if self.line_of is None else f"row {row} (line {self.line_of(row)})"
