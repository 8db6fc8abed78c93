"""The checks across all shards: rows that occur twice, and the rows of damaged records."""

from __future__ import annotations

from typing import Any

import numpy as np

from convert.dataset.info import QUARANTINE
from convert.verify.expectation import Expectation
from convert.verify.findings import Finding, Kind, Problem, record_message, rest_message
from convert.verify.shards.one_shard import ShardCase
from convert.verify.shards.source_rows import Claims, Origins, Place

Ints = np.ndarray[Any, np.dtype[Any]]


class Judgement:
    """The problems that only show in all records together.

    Args:
        cases: The shards, after all of them were checked.
        claims: The rows of their records.
        manifest: What the manifest says, if it is given.
        left_out: The rows that the dataset left out, int64.
        num_rows: Rows of the manifest. None: not known.
    """

    def __init__(
        self,
        cases: list[ShardCase],
        claims: Claims,
        manifest: Expectation | None,
        left_out: Ints,
        num_rows: int | None,
    ) -> None:
        self._cases = cases
        self._claims = claims
        self._manifest = manifest
        self._left_out = left_out
        self._num_rows = num_rows

    def problems(self) -> list[Problem]:
        """Returns the problems of shards and their records, in the dataset's order."""
        shards = {case.shard.sha256: case.shard for case in self._cases if case.shard.records}
        own = []
        for case in self._cases:
            if case.is_own(shards):
                own.append(case)
            else:
                self._claims.disown(case.number)
        self._judge_rows()
        missing = self._rows_beyond()
        for case in own:
            case.judge()
        origins = self._claims.origins(self._num_rows, self._left_out)
        return [problem for case in self._cases for problem in self._told(case, origins)] + missing

    def _judge_rows(self) -> None:
        """Finds rows that more than one record has."""
        for later, first in self._claims.twice():
            # Where one of the shards is as it was written, the other one is to blame.
            blamed, other = (first, later) if self._is_intact(later) else (later, first)
            self._add(blamed, "row_twice", f"{self._name(other)} has it too")
        for place in self._claims.among(self._left_out):
            self._add(place, "row_twice", f"{QUARANTINE} has it too")

    def _rows_beyond(self) -> list[Problem]:
        """Finds rows that cannot be; tells if it is the rows left out that are too few."""
        if self._num_rows is None:
            return []
        num_lost = 0
        for place in self._claims.beyond(self._num_rows):
            if self._manifest is None and self._is_intact(place):
                num_lost += 1  # as many rows as there are records and rows left out are too few
            else:
                self._add(place, "row_range", f"there are {self._num_rows:,} rows")
        if not num_lost:
            return []
        message = f"lacks rows: {num_lost:,} records have rows from {self._num_rows} on"
        return [Problem(kind="metadata", file=QUARANTINE, message=message)]

    def _is_intact(self, place: Place) -> bool:
        case = self._cases[place.shard]
        return case.sha256 == case.shard.sha256

    def _add(self, place: Place, kind: Kind, detail: str) -> None:
        self._cases[place.shard].findings.add(place.record, kind, detail)

    def _name(self, place: Place) -> str:
        return f"record {place.record} of {self._cases[place.shard].shard.file}"

    def _told(self, case: ShardCase, origins: Origins) -> list[Problem]:
        """Returns the problems of a shard, its first findings one by one."""
        findings = case.findings
        expected = None
        if findings.first and self._manifest is not None:
            expected = self._manifest.shard(case.split, case.index, case.shard, self._left_out)
        problems = []
        for finding in findings.first:
            place = Place(case.number, finding.record)
            if expected is not None and not self._claims.is_sound(place):
                row: int | None = int(expected.rows[finding.record])
                doubt = ""
            else:
                row, doubt = self._origin(place, origins)
            problems.append(self._problem(case.shard.file, finding, row, doubt))
        for kind, count in findings.uncounted().most_common():
            text = rest_message(kind, count)
            problems.append(Problem(kind=kind, file=case.shard.file, message=text, count=count))
        return [*case.problems, *problems]

    def _origin(self, place: Place, origins: Origins) -> tuple[int | None, str]:
        """Returns the row that a record comes from, or None; and what is to be said of it."""
        claims = self._claims
        row = claims.row(place)
        if claims.is_sound(place) or row in origins.rows:
            return row, ""
        if origins.left is not None:
            return origins.left, "the only row left"
        if row < 0:
            return None, "its row is lost too"
        if owner := claims.owner(row):
            reason = f"the row of {self._name(owner)}"
        elif row in self._left_out:
            reason = "which was left out"
        elif self._num_rows is not None and row >= self._num_rows:
            reason = f"of {self._num_rows:,} rows"
        else:
            reason = "as another damaged record does"
        return None, f"its row is damaged too: it reads {row}, {reason}"

    def _problem(self, file: str, finding: Finding, row: int | None, doubt: str) -> Problem:
        path = None
        if row is not None and self._manifest is not None:
            path = self._manifest.path(row)
        known = [] if row is None else [f"manifest row {row}"]
        where = ", ".join([*known, *filter(None, (path, doubt))])
        return Problem(
            kind=finding.kind,
            file=file,
            message=record_message(finding, where),
            record=finding.record,
            row=row,
            path=path,
        )
