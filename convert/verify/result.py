"""The result of a verification, in lines for people and as JSON for programs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from convert.command.byte_sizes import show_bytes
from convert.dataset.index import SUFFIX
from convert.dataset.info import DatasetInfo
from convert.verify.findings import Kind, Problem
from convert.write.duplicates import Duplicates

_LINES = 200  # of problems told to people; `--json` has all of them

_OF_SOURCES: frozenset[Kind] = frozenset(("pixels_differ", "source_changed"))


@dataclass(frozen=True, kw_only=True, slots=True)
class VerifyResult:
    """What a verification found.

    Attributes:
        dataset: The folder.
        info: Its description.
        problems: What is wrong, file by file.
        duplicates: Identical pictures; warnings, not problems.
        sound_records: Records whose every byte is as it was written.
        bytes: Bytes of shards that were read.
        compared: What else records were compared with: nothing, the manifest, or the sources.
        seconds: Time from start to end.
    """

    dataset: str
    info: DatasetInfo
    problems: list[Problem]
    duplicates: Duplicates
    sound_records: int
    bytes: int
    compared: str
    seconds: float

    @property
    def num_problems(self) -> int:
        """All findings, also those that are only counted."""
        return sum(problem.count for problem in self.problems)

    def lines(self) -> list[str]:
        """Returns the lines that end a verification."""
        lines = [problem.line() for problem in self.problems[:_LINES]]
        if rest := sum(problem.count for problem in self.problems[_LINES:]):
            lines.append(f"and {rest:,} more problems; --json lists all")
        return [*lines, *self.duplicates.lines(), *self._verdict()]

    def _verdict(self) -> list[str]:
        if self.problems:
            some = "1 problem" if self.num_problems == 1 else f"{self.num_problems:,} problems"
            return [f"{some} in {self._places()}; the rest is sound", *self._advice()]
        num_shards = len(_shards(self.info))
        shards = "1 shard" if num_shards == 1 else f"{num_shards:,} shards"
        speed = self.bytes / max(self.seconds, 1e-9) / 1e6
        return [
            f"verified {self.sound_records:,} records in {shards}, {_size(self.bytes)} at "
            f"{speed:,.{0 if speed >= 10 else 1}f} MB/s{self.compared}: all is sound"
        ]

    def _places(self) -> str:
        """Counts where problems are: `2 of 8 shards and 1 other file`."""
        shards = _shards(self.info)
        files = {problem.file.removesuffix(SUFFIX) for problem in self.problems}
        damaged, others = len(files & shards), len(files - shards)
        places = [f"{damaged:,} of {len(shards):,} shards"] * (damaged > 0)
        if others:
            places.append(f"{others:,} other file{'s' * (others > 1)}")
        return " and ".join(places)

    def _advice(self) -> list[str]:
        kinds = {problem.kind for problem in self.problems}
        lines = []
        if kinds - _OF_SOURCES - {"foreign_file"}:
            lines.append(
                "restore these files from a copy, or convert again with --overwrite; "
                "nothing has to be deleted"
            )
        if kinds & _OF_SOURCES:
            lines.append("sources have changed since: if they are right now, convert them again")
        if "foreign_file" in kinds:
            lines.append("move foreign files elsewhere: a reader of the folder may take them in")
        return lines

    def to_json(self) -> dict[str, Any]:
        """Returns the summary that `--json` prints."""
        counts: Counter[Kind] = Counter()
        for problem in self.problems:
            counts[problem.kind] += problem.count
        return {
            "dataset": self.dataset,
            "dataset_id": self.info.dataset_id,
            "records": sum(self.info.num_records(split) for split in self.info.splits),
            "sound_records": self.sound_records,
            "shards": len(_shards(self.info)),
            "num_problems": self.num_problems,
            "counts": dict(counts.most_common()),
            "problems": [problem.to_json() for problem in self.problems],
            "leaked": self.duplicates.leaked,
            "conflicting": self.duplicates.conflicting,
            "bytes": self.bytes,
            "seconds": round(self.seconds, 3),
        }


def _shards(info: DatasetInfo) -> set[str]:
    return {shard.file for shards in info.splits.values() for shard in shards}


def _size(num_bytes: int) -> str:
    """Returns a number of bytes as people say it: `18.6 MB`."""
    return f"{num_bytes:,} bytes" if num_bytes < 1e6 else show_bytes(num_bytes, decimals=1)
