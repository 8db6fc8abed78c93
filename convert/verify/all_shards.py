"""The checks across all shards: rows and pictures that occur twice, rows that cannot be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from convert.config import SPLITS
from convert.dataset.info import QUARANTINE
from convert.verify.expectation import Expectation
from convert.verify.findings import Kind, record_problem
from convert.verify.shards.one_shard import ShardCheck
from convert.verify.shards.spans import SpanReport
from convert.write.duplicates import Duplicates, find_duplicates

Ints = np.ndarray[Any, np.dtype[Any]]


class AllRecords:
    """The rows of all records of a dataset, and digests that tell pictures apart.

    They take 25 bytes a record, and about as much again while they are sorted.

    Args:
        shards: The dataset's shards.
    """

    def __init__(self, shards: Sequence[ShardCheck]) -> None:
        self._shards = shards
        capacities = [shard.capacity for shard in shards]
        self._starts = np.concatenate([[0], np.cumsum(capacities, dtype=np.int64)])
        total = int(self._starts[-1])
        self._rows = np.zeros(total, np.int64)
        self._images = np.zeros(total, np.uint64)
        self._labels = np.zeros(total, np.uint64)
        self._is_sound = np.zeros(total, bool)

    def take(self, report: SpanReport) -> None:
        """Adds the records of a span."""
        start = int(self._starts[report.shard]) + report.first
        part = slice(start, start + len(report.rows))
        self._rows[part] = report.rows
        self._images[part] = report.images
        self._labels[part] = report.labels
        self._is_sound[part] = report.is_sound

    def num_sound(self) -> int:
        """Returns the number of records whose every byte is sound."""
        return int(np.count_nonzero(self._is_sound))

    def duplicates(self) -> Duplicates:
        """Finds identical pictures among sound records."""
        sound = self._is_sound
        splits = np.array([SPLITS.index(shard.split) for shard in self._shards], np.int8)
        of_record = np.repeat(splits, np.diff(self._starts))
        return find_duplicates(
            self._images[sound], self._rows[sound], of_record[sound], self._labels[sound][:, None]
        )

    def check_rows(
        self, left_out: Ints, num_rows: int | None, manifest: Expectation | None
    ) -> None:
        """Adds to the findings of the shards: rows that occur twice, and rows that cannot be.

        Args:
            left_out: The rows that the dataset left out, int64.
            num_rows: Rows of the manifest. None: not known.
            manifest: What the manifest says, if it is given.
        """
        positions = np.flatnonzero(self._is_sound)
        positions = positions[np.argsort(self._rows[positions], kind="stable")]
        rows = self._rows[positions]
        for later, first in self._twice(rows, positions):
            # Where one of the shards is as it was written, the other one is to blame.
            blamed, other = (first, later) if self._shard(later).is_as_written else (later, first)
            shard, record = self._shard(other), self._record(other)
            detail = f"record {record} of {shard.shard.file} has it too"
            self._add(blamed, "row_twice", detail, manifest)
        for position in positions[np.isin(rows, left_out)].tolist():
            self._add(position, "row_twice", f"{QUARANTINE} has it too", manifest)
        if num_rows is None:
            return
        there = f"there are {num_rows:,} rows"
        if manifest is None:
            there += f", with those of {QUARANTINE}"
        for position in positions[np.searchsorted(rows, num_rows) :].tolist():
            self._add(position, "row_range", there, manifest)

    def _twice(self, rows: Ints, positions: Ints) -> Iterator[tuple[int, int]]:
        """Yields each record whose row an earlier one has, and the first that has it.

        Args:
            rows: Of sound records, sorted.
            positions: Of these records among all.
        """
        for index in (np.flatnonzero(rows[1:] == rows[:-1]) + 1).tolist():
            yield int(positions[index]), int(positions[np.searchsorted(rows, rows[index])])

    def _number(self, position: int) -> int:
        """Returns the index of the shard that holds a record."""
        # Shards without records start where the next one starts: the last of these has the record.
        return int(np.searchsorted(self._starts, position, "right")) - 1

    def _shard(self, position: int) -> ShardCheck:
        return self._shards[self._number(position)]

    def _record(self, position: int) -> int:
        return position - int(self._starts[self._number(position)])

    def _add(self, position: int, kind: Kind, detail: str, manifest: Expectation | None) -> None:
        row, shard = int(self._rows[position]), self._shard(position)
        path = None if manifest is None else manifest.path(row)
        problem = record_problem(
            kind, shard.shard.file, self._record(position), detail, row=row, path=path
        )
        shard.findings.add(problem)
