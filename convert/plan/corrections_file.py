"""Reads corrections of labels: decisions that the page of `train audit` hands out, or a list.

A CSV with the columns `path` (or `row`), `text` and, if they are there, `label` and `decision`. A
row of the manifest gets the text as its label; without a text it is left out. A decision `label`
says that the label was right, and changes nothing.
"""

from __future__ import annotations

import csv
import io
from typing import Any

from convert.command.printed import from_csv_cell
from convert.errors import UsageError
from convert.plan.corrections import Correction, Corrections
from convert.storage.places import read_text

_DECISIONS = ("", "label", "suggestion", "neither")
_RIGHT = "label"


def read_corrections(file: str) -> Corrections:
    """Reads a file of corrections, on this machine or on HDFS.

    Raises:
        UsageError: It cannot be read, or is no such file.
    """
    try:
        text = read_text(file).decode("utf-8-sig")
    except FileNotFoundError as error:
        raise UsageError(f"--corrections {file}: no such file. Check the path.") from error
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise UsageError(f"--corrections {file}: cannot be read: {reason}.") from error
    lines = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    entries, confirmed = [], 0
    try:
        names = lines.fieldnames or ()
        if "text" not in names or not {"path", "row"} & set(names):
            raise UsageError(
                f"--corrections {file}: needs the columns path (or row) and text; it has "
                f"{', '.join(names) or 'none'}."
            )
        for cells in lines:
            one = _correction(file, lines.line_num, cells)
            confirmed += one is None
            entries += [one] if one else []
    except csv.Error as error:
        raise UsageError(f"--corrections {file}: line {lines.reader.line_num}: {error}.") from error
    return Corrections(file=file, entries=tuple(entries), confirmed=confirmed)


def _correction(file: str, line: int, raw: dict[Any, Any]) -> Correction | None:
    """Returns the correction of a line; None if it says that the label is right."""
    if None in raw or None in raw.values():
        raise UsageError(f"--corrections {file}: line {line} has not as many values as the header.")
    cells = {name: from_csv_cell(cell) for name, cell in raw.items()}
    decision, text, row = (cells.get(name, "") for name in ("decision", "text", "row"))
    if decision not in _DECISIONS:
        raise UsageError(
            f"--corrections {file}: line {line}: the decision {decision!r} is none of "
            f"{', '.join(_DECISIONS[1:])}."
        )
    if row and not (row.isascii() and row.isdecimal() and len(row) < 19):
        raise UsageError(f"--corrections {file}: line {line}: {row!r} is no row.")
    if not cells.get("path") and not row:
        raise UsageError(f"--corrections {file}: line {line} names neither path nor row.")
    if decision == _RIGHT:
        return None
    return Correction(
        line=line,
        path=cells.get("path", ""),
        row=int(row) if row else None,
        label=cells.get("label"),
        text=text or None,
    )
