"""Makes texts from other people harmless to print: exact, except for characters that act.

A control character may move a terminal's cursor or retitle its window, a bidirectional one shows a
text in another order than it has, and a spreadsheet runs a cell that begins as a formula does.
"""

from __future__ import annotations

import json
import re
from typing import Any

# C0 and C1 controls and DEL, what ends a line in Unicode, marks and overrides of direction
# (Unicode Standard Annex 9), and halves of surrogate pairs.
_ACTING = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
_FORMULA = re.compile(r"'*[=+\-@＝＋－＠]")
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")


def without_controls(text: str) -> str:
    """Returns a text with each control character written as an escape of Python."""
    return _ACTING.sub(lambda found: ascii(found[0])[1:-1], text)


def json_line(value: Any) -> str:
    """Returns a value as one line of JSON; whoever parses it gets its texts exactly."""
    text = json.dumps(value, ensure_ascii=False)
    return _ACTING.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def csv_cell(text: str) -> str:
    """Returns a text as a cell of CSV that no spreadsheet runs.

    What begins with `=`, `+`, `-` or `@`, narrow or wide, gets a `'` before it, which spreadsheets
    take for "this is text", unless it is a number or that single character: those do nothing. A
    text that had such a `'` gets another, so that removing one gives the text back.
    """
    shown = without_controls(text)
    begins = _FORMULA.match(shown) is not None and len(shown) > 1
    return f"'{shown}" if begins and _NUMBER.fullmatch(shown) is None else shown


def from_csv_cell(cell: str) -> str:
    """Returns the text of a cell that `csv_cell` wrote; control characters stay escapes."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell
