"""The errors that `convert verify` finds: in one record, and as problems that it prints."""

from __future__ import annotations

import bisect
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any, Literal

Kind = Literal[
    "missing",
    "not_a_file",
    "unreadable",
    "truncated",
    "too_long",
    "digest",
    "index",
    "metadata",
    "not_compared",
    "foreign_file",
    "flipped_bytes",
    "zeros",
    "image",
    "label_range",
    "row_range",
    "row_twice",
    "row_differs",
    "labels_differ",
    "pixels_differ",
    "source_changed",
]
"""The list is closed: scripts may match on it."""

LISTED = 10
"""Problems of one file that are listed one by one: enough to see where the damage lies."""

_WORDS: dict[Kind, str] = {
    "flipped_bytes": "flipped bytes in",
    "zeros": "zeros in place of",
    "image": "no valid image in",
    "label_range": "a label out of range in",
    "row_range": "a row out of range in",
    "row_twice": "a row for the second time in",
    "row_differs": "not the planned row in",
    "labels_differ": "labels differ from the manifest in",
    "pixels_differ": "pixels differ from the source in",
    "source_changed": "its source can no longer be converted:",
}
"""Before the number of a record."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """Something that is wrong with a dataset.

    Attributes:
        kind: What it is.
        file: Name of the file in the dataset's folder.
        message: One line for people, without the file's name.
        count: How many findings it stands for. More than 1 where only the first are listed.
        record: Number of the record in the shard, where it is about one.
        row: Manifest row of that record: the planned one if the manifest is given, else the one
            that the record has.
        path: The row's path, where the manifest is given.
    """

    kind: Kind
    file: str
    message: str
    count: int = 1
    record: int | None = None
    row: int | None = None
    path: str | None = None

    def line(self) -> str:
        """Returns the problem as a line for people."""
        return f"{self.file}: {self.message}"

    def to_json(self) -> dict[str, Any]:
        """Returns the problem as JSON values, without those that do not apply."""
        return {key: value for key, value in asdict(self).items() if value is not None}


def record_problem(
    kind: Kind,
    file: str,
    record: int,
    detail: str = "",
    *,
    row: int | None = None,
    path: str | None = None,
    is_certain: bool = True,
) -> Problem:
    """Returns the problem of a record.

    Args:
        kind: What it is.
        file: The shard.
        record: Its number in the shard.
        detail: What was found and expected, or empty.
        row: Its manifest row. None: not known.
        path: The row's path as it can be printed. None: not known.
        is_certain: Whether the row is known for sure: a damaged record may have a damaged row.
    """
    known = "manifest row" if is_certain else "it reads manifest row"
    place = "" if row is None else f" ({', '.join(filter(None, (f'{known} {row}', path)))})"
    message = f"{_WORDS[kind]} record {record}{place}" + (detail and f": {detail}")
    return Problem(kind=kind, file=file, message=message, record=record, row=row, path=path)


class RecordFindings:
    """The problems of some records of a shard: all are counted, the first few kept.

    Attributes:
        counts: Number of problems of each kind.
        first: The first `LISTED`, by record.
    """

    def __init__(self) -> None:
        self.counts: Counter[Kind] = Counter()
        self.first: list[Problem] = []

    def add(self, problem: Problem) -> None:
        """Counts a problem, and keeps it if it is one of the first."""
        self.counts[problem.kind] += 1
        self._keep(problem)

    def merge(self, other: RecordFindings) -> None:
        """Adds the problems of other records of the same shard."""
        self.counts.update(other.counts)
        for problem in other.first:
            self._keep(problem)

    def _keep(self, problem: Problem) -> None:
        bisect.insort(self.first, problem, key=lambda kept: kept.record or 0)
        del self.first[LISTED:]

    def problems(self, file: str) -> list[Problem]:
        """Returns the first problems of a shard, and the others as a count of each kind."""
        rest = self.counts - Counter(problem.kind for problem in self.first)
        problems = list(self.first)
        for kind, count in rest.most_common():
            text = f"and {count:,} more record{'s' * (count > 1)}: {kind.replace('_', ' ')}"
            problems.append(Problem(kind=kind, file=file, message=text, count=count))
        return problems


def first_problems(kind: Kind, file: str, messages: list[str], noun: str) -> list[Problem]:
    """Returns the first of many problems of one file one by one, and the rest as a count.

    Args:
        kind: What they are.
        file: The file.
        messages: What is wrong.
        noun: What the rest is called, in the plural.
    """
    problems = [Problem(kind=kind, file=file, message=text) for text in messages[:LISTED]]
    if rest := len(messages) - len(problems):
        text = f"and {rest:,} more {noun}"
        problems.append(Problem(kind=kind, file=file, message=text, count=rest))
    return problems


def shown(name: str) -> str:
    """Returns a file's name or path as it can be printed in one line, whatever bytes it has."""
    return name if name.isprintable() else ascii(name)[1:-1]
