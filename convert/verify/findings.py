"""The errors that `convert verify` finds: in one record, and as problems that it prints."""

from __future__ import annotations

import bisect
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

Kind = Literal[
    "missing",
    "not_a_file",
    "unreadable",
    "truncated",
    "too_long",
    "other_content",
    "misplaced",
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
    "source_gone",
    "source_changed",
]
"""The list is closed: scripts may match on it."""

LISTED = 10
"""Problems of one file that are told one by one: enough to see where the damage lies."""

# Of one record, and of the many that are only counted.
_WORDS: dict[Kind, tuple[str, str]] = {
    "flipped_bytes": ("flipped bytes in", "damaged record{s}"),
    "zeros": ("zeros in place of", "record{s} of zeros"),
    "image": ("no valid image in", "record{s} without a valid image"),
    "label_range": ("a label out of range in", "record{s} with a label out of range"),
    "row_range": ("a row out of range in", "record{s} with a row out of range"),
    "row_twice": ("a row for the second time in", "record{s} with a row that another has"),
    "row_differs": ("not the planned row in", "record{s} with another row than planned"),
    "labels_differ": ("labels differ from the manifest in", "record{s} with other labels"),
    "pixels_differ": ("pixels differ from the source in", "record{s} with other pixels"),
    "source_gone": ("its source is gone:", "record{s} whose source is gone"),
    "source_changed": (
        "its source can no longer be converted:",
        "record{s} whose source can no longer be converted",
    ),
}


class Finding(NamedTuple):
    """What is wrong with one record.

    Attributes:
        record: Its number in the shard.
        kind: What it is.
        detail: What was found and expected, or empty.
    """

    record: int
    kind: Kind
    detail: str


class RecordFindings:
    """The findings in some records of a shard: all are counted, the first few kept.

    Attributes:
        counts: Number of findings of each kind.
        first: The first `LISTED`, by record.
    """

    def __init__(self) -> None:
        self.counts: Counter[Kind] = Counter()
        self.first: list[Finding] = []

    def add(self, record: int, kind: Kind, detail: str = "") -> None:
        """Notes a finding."""
        self.counts[kind] += 1
        self._keep(Finding(record, kind, detail))

    def add_all(self, records: list[int], kind: Kind) -> None:
        """Notes the same finding of many records, whose numbers are in order."""
        if records:
            self.counts[kind] += len(records)
        for record in records[:LISTED]:
            self._keep(Finding(record, kind, ""))

    def merge(self, other: RecordFindings) -> None:
        """Adds the findings in other records of the same shard."""
        self.counts.update(other.counts)
        for finding in other.first:
            self._keep(finding)

    def _keep(self, finding: Finding) -> None:
        if len(self.first) < LISTED or finding.record < self.first[-1].record:
            bisect.insort(self.first, finding, key=lambda kept: kept.record)
            del self.first[LISTED:]

    def uncounted(self) -> Counter[Kind]:
        """Returns how many findings of each kind are not kept."""
        return self.counts - Counter(finding.kind for finding in self.first)


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """Something that is wrong with a dataset.

    Attributes:
        kind: What it is.
        file: Name of the file in the dataset's folder.
        message: One line for people, without the file's name.
        count: How many findings it stands for. More than 1 where only the first are told.
        record: Number of the record in the shard, where it is about one.
        row: Manifest row of that record, where it is known.
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


def record_message(finding: Finding, where: str) -> str:
    """Returns the message for a finding.

    Args:
        finding: What was found.
        where: Row and path of the record, as far as they are known.
    """
    detail = f": {finding.detail}" if finding.detail else ""
    return f"{_WORDS[finding.kind][0]} record {finding.record} ({where}){detail}"


def rest_message(kind: Kind, count: int) -> str:
    """Returns the message for findings that are only counted."""
    noun = _WORDS[kind][1].format(s="" if count == 1 else "s")
    return f"and {count:,} more {noun}"


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
