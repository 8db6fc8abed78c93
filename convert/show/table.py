"""Tables and bars in plain text, aligned also where characters are as wide as two."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from convert.plan.labels.vocabulary import BLANK

_GAP = "  "
_NAME_COLUMNS = 40  # half a terminal
_ZERO_WIDTH = ("Mn", "Me", "Cf")  # Unicode categories of marks on other characters, and of controls


def columns_of(text: str) -> int:
    """Returns how many columns of a terminal a text takes.

    Source: Unicode Standard Annex 11, "East Asian Width"; ambiguous characters count as narrow.
    """
    return sum(
        0
        if unicodedata.category(character) in _ZERO_WIDTH
        else 2
        if unicodedata.east_asian_width(character) in "WF"
        else 1
        for character in text
    )


def table(header: Sequence[str], rows: Sequence[Sequence[str]], align: str) -> list[str]:
    """Returns the lines of a table.

    Args:
        header: Names of the columns.
        rows: Cells, as many as the header has.
        align: `<` or `>` for each column.
    """
    lines = [header, *rows]
    widths = [max(map(columns_of, column)) for column in zip(*lines, strict=True)]
    return [
        _GAP.join(
            _pad(cell, width, side) for cell, width, side in zip(line, widths, align, strict=True)
        ).rstrip()
        for line in lines
    ]


def indented(lines: Sequence[str]) -> list[str]:
    """Returns lines as a part of what stands above them."""
    return [f"  {line}" for line in lines]


def bar(share: float, columns: int = 24) -> str:
    """Returns a bar for a share in [0, 1]; what is there at all gets at least a sliver."""
    blocks = "█" * round(share * columns)
    return blocks or ("▏" if share > 0 else "")


def shown(name: str) -> str:
    """Returns a class's name with invisible and control characters escaped."""
    if name == BLANK:
        return "(blank)"
    return name if name.isprintable() and name.strip() == name else repr(name)


def brief(name: str) -> str:
    """Returns a name as `shown` does, cut where it would spoil a table."""
    text = shown(name)
    return text if len(text) <= _NAME_COLUMNS else text[: _NAME_COLUMNS - 3] + "..."


def counted(number: int, one: str, many: str | None = None) -> str:
    """Returns a number with its noun: `1 class`, `1,200 classes`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def _pad(text: str, width: int, side: str) -> str:
    filling = " " * (width - columns_of(text))
    return filling + text if side == ">" else text + filling
