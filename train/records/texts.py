"""Labels of records as texts."""

from __future__ import annotations

from collections.abc import Sequence

from convert.dataset.info import DatasetInfo


def blanks_of(info: DatasetInfo) -> list[int | None]:
    """Returns the index of each output's blank class: the last, if its name is empty."""
    return [len(c) - 1 if c[-1] == "" else None for c in info.classes.values()]


def text_of(classes: Sequence[int], info: DatasetInfo) -> str:
    """Returns a label as text; class names longer than a character get spaces between."""
    names = [vocabulary[i] for i, vocabulary in zip(classes, info.classes.values(), strict=True)]
    return ("" if all(len(name) <= 1 for name in names) else " ").join(names)
