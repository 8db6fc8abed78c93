"""Tables that TensorBoard shows as text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

_SPECIAL = re.compile(r"([\\`*_{}\[\]()#+.!|<>~-])")


def table_summary(tag: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> Any:
    """Returns a `Summary` with a table.

    Args:
        tag: Under which TensorBoard shows it.
        header: Titles of the columns.
        rows: As many cells each as there are titles.
    """
    from tensorboardX.summary import text

    lines = [header, ["---"] * len(header), *([_literal(cell) for cell in row] for row in rows)]
    return text(tag, "\n".join("| " + " | ".join(line) + " |" for line in lines))


def _literal(cell: object) -> str:
    """Returns a cell as text in which nothing is Markdown."""
    return _SPECIAL.sub(r"\\\1", " ".join(str(cell).split())) or "(none)"
