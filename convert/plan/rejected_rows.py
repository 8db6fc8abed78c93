"""Rows that the manifest alone rules out, each with its reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from convert.errors import Reason
from convert.plan.manifest import Manifest

Ints = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Quarantined:
    """A row that was left out, and why.

    Attributes:
        row: 0-based row of the manifest.
        path: As the manifest spells it.
        reason: A code of `convert.errors.REASONS`.
        detail: One line for people.
    """

    row: int
    path: str
    reason: Reason
    detail: str


class Problems:
    """Collects the rows that the manifest rules out; the first reason given to a row stays."""

    def __init__(self, manifest: Manifest) -> None:
        self._paths = manifest.columns["path"]
        self._found: dict[int, tuple[Reason, str]] = {}
        self.good = np.ones(manifest.num_rows, bool)

    def add(self, bad: Ints, reason: Reason, detail: Callable[[int], str]) -> None:
        """Leaves rows out.

        Args:
            bad: bool, shape (rows,).
            reason: Why.
            detail: Row -> one line for people; asked for bad rows only.
        """
        for row in np.flatnonzero(bad & self.good).tolist():
            self._found[row] = (reason, detail(row))
        self.good &= ~bad

    def quarantined(self) -> list[Quarantined]:
        """Returns the rows left out, by row."""
        return [
            Quarantined(row=row, path=self._paths[row].as_py(), reason=reason, detail=detail)
            for row, (reason, detail) in sorted(self._found.items())
        ]
