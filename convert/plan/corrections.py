"""Corrections of labels: what a file of decisions says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Correction:
    """A label that is replaced, or a row that is left out.

    Attributes:
        line: Where it stands in its file, from 1.
        path: The row's path, as the manifest spells it; empty if only the row is known.
        row: The manifest row. None: the path alone tells.
        label: What the row was labelled when it was decided. None: not known.
        text: Its label. None: the row is left out.
    """

    line: int
    path: str
    row: int | None
    label: str | None
    text: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Corrections:
    """The content of a file of corrections.

    Attributes:
        file: Its name, for messages.
        entries: What is changed.
        confirmed: Labels that were found right.
    """

    file: str = ""
    entries: tuple[Correction, ...] = ()
    confirmed: int = 0

    def to_json(self) -> list[list[Any]]:
        """Returns the entries as JSON values: what of them changes a dataset's bytes."""
        return [[one.path, one.row, one.label, one.text] for one in self.entries]

    @classmethod
    def from_json(cls, content: list[list[Any]], file: str) -> Corrections:
        """Returns what `to_json` gave; raises `ValueError` or `TypeError` if it is not that."""
        entries = []
        for line, (path, row, label, text) in enumerate(content, 1):
            texts = [path, *(one for one in (label, text) if one is not None)]
            is_row = (type(row) is int and row >= 0) or (row is None and path)
            if not is_row or not all(isinstance(one, str) for one in texts):
                raise TypeError("no correction")
            entries.append(Correction(line=line, path=path, row=row, label=label, text=text))
        return cls(file=file, entries=tuple(entries))


def rounds_to_json(rounds: Sequence[Corrections]) -> list[Any]:
    """Returns files of corrections as JSON values: the entries of one, or a list of several."""
    found = [one.to_json() for one in rounds if one.entries]
    return found[0] if len(found) == 1 else found


def rounds_from_json(content: list[Any], file: str) -> tuple[Corrections, ...]:
    """Returns what `rounds_to_json` gave; raises `ValueError` or `TypeError` if it is not that."""
    are_several = bool(content) and all(one and isinstance(one[0], list) for one in content)
    rounds = content if are_several else [content] if content else []
    return tuple(Corrections.from_json(one, file) for one in rounds)
