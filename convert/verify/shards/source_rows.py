"""The manifest rows that records say they come from: finds double and impossible ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from convert.verify.shards.spans import SpanReport
from convert.write.duplicates import Duplicates, find_duplicates

Ints = np.ndarray[Any, np.dtype[Any]]

_UNSEEN, _DAMAGED, _SOUND = range(3)


@dataclass(frozen=True, slots=True)
class Place:
    """A record's place: index of its shard, and its number there."""

    shard: int
    record: int


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Origins:
    """The manifest rows that damaged records probably come from.

    Attributes:
        rows: Rows that one damaged record reads, and no other record, in order.
        num_rows: Rows of the manifest. None: not known.
        left: The row of the one damaged record that reads none of these: no other is left.
    """

    rows: Ints
    num_rows: int | None
    left: int | None


class Claims:
    """The rows of all records of a dataset, with what is needed to tell pictures apart.

    They take 25 bytes a record, and about as much again while they are sorted.

    Args:
        sizes: Number of records of each shard that can be read.
    """

    def __init__(self, sizes: list[int]) -> None:
        self._starts = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
        total = int(self._starts[-1])
        self._rows = np.full(total, -1, np.int64)
        self._images = np.zeros(total, np.uint64)
        self._labels = np.zeros(total, np.uint64)
        self._state = np.zeros(total, np.int8)
        self._owners: tuple[Ints, Ints] | None = None

    def take(self, report: SpanReport) -> None:
        """Adds the records of a span."""
        start = int(self._starts[report.shard]) + report.first
        part = slice(start, start + len(report.rows))
        self._rows[part] = report.rows
        self._images[part] = report.images
        self._labels[part] = report.labels
        self._state[part] = np.where(report.is_sound, _SOUND, _DAMAGED)

    def disown(self, shard: int) -> None:
        """Forgets the records of a shard that are not its own."""
        self._state[self._starts[shard] : self._starts[shard + 1]] = _UNSEEN

    def row(self, place: Place) -> int:
        """Returns a record's row as read; -1 if there is no number or it was not read."""
        position = self._position(place)
        return -1 if position is None else int(self._rows[position])

    def num_sound(self) -> int:
        """Returns the number of records whose every byte is sound."""
        return int(np.count_nonzero(self._state == _SOUND))

    def is_sound(self, place: Place) -> bool:
        """Returns whether every byte of a record is sound."""
        position = self._position(place)
        return position is not None and bool(self._state[position] == _SOUND)

    def _position(self, place: Place) -> int | None:
        position = int(self._starts[place.shard]) + place.record
        return position if position < self._starts[place.shard + 1] else None

    def _place(self, position: int) -> Place:
        # Shards without records start where the next one starts: the last of these has the record.
        shard = int(np.searchsorted(self._starts, position, "right")) - 1
        return Place(shard, position - int(self._starts[shard]))

    def _sorted(self) -> tuple[Ints, Ints]:
        """Returns the rows of sound records in order, and the positions of the records."""
        if self._owners is None:
            positions = np.flatnonzero(self._state == _SOUND)
            order = np.argsort(self._rows[positions], kind="stable")
            self._owners = self._rows[positions[order]], positions[order]
        return self._owners

    def twice(self) -> Iterator[tuple[Place, Place]]:
        """Yields each sound record whose row an earlier sound one has, and the first such."""
        rows, positions = self._sorted()
        for index in (np.flatnonzero(rows[1:] == rows[:-1]) + 1).tolist():
            first = int(np.searchsorted(rows, rows[index], "left"))
            yield self._place(int(positions[index])), self._place(int(positions[first]))

    def among(self, rows: Ints) -> Iterator[Place]:
        """Yields each sound record whose row is one of some rows."""
        owned, positions = self._sorted()
        for position in positions[np.isin(owned, rows)].tolist():
            yield self._place(position)

    def beyond(self, num_rows: int) -> Iterator[Place]:
        """Yields each sound record whose row is not below `num_rows`."""
        owned, positions = self._sorted()
        for position in positions[np.searchsorted(owned, num_rows, "left") :].tolist():
            yield self._place(position)

    def owner(self, row: int) -> Place | None:
        """Returns the sound record that has a row, if there is one."""
        rows, positions = self._sorted()
        index = int(np.searchsorted(rows, row, "left"))
        found = index < len(rows) and rows[index] == row
        return self._place(int(positions[index])) if found else None

    def origins(self, num_rows: int | None, left_out: Ints) -> Origins:
        """Returns the object that finds the manifest row of a damaged record.

        Args:
            num_rows: Rows of the manifest. None: not known.
            left_out: Rows that the dataset left out.
        """
        damaged = self._rows[self._state == _DAMAGED]
        owned = self._sorted()[0]
        values, counts = np.unique(damaged, return_counts=True)
        is_free = (values >= 0) & (counts == 1)
        is_free &= ~np.isin(values, owned) & ~np.isin(values, left_out)
        if num_rows is None:
            return Origins(rows=values[is_free], num_rows=None, left=None)
        is_free &= values < num_rows
        left = np.ones(num_rows, bool)
        for rows in (owned, left_out, values[is_free]):
            left[rows[rows < num_rows]] = False
        is_one = np.count_nonzero(left) == 1 == len(damaged) - np.count_nonzero(is_free)
        return Origins(
            rows=values[is_free], num_rows=num_rows, left=int(np.argmax(left)) if is_one else None
        )

    def duplicates(self, splits: list[int]) -> Duplicates:
        """Finds identical pictures among sound records.

        Args:
            splits: Index of each shard's split.
        """
        sound = self._state == _SOUND
        of_record = np.repeat(np.array(splits, np.int8), np.diff(self._starts))
        return find_duplicates(
            self._images[sound], self._rows[sound], of_record[sound], self._labels[sound][:, None]
        )
