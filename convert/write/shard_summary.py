"""The messages from workers to the main process: progress, and a finished shard's summary."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from typing import Any

from convert.dataset.info import Shard
from convert.dataset.record import Ints
from convert.images import Rendered
from convert.images.oddities import Oddity, Sighting, Sightings, merge_sightings
from convert.images.sources.file_versions import Origin
from convert.plan.rejected_rows import Quarantined


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """Work done since the last report.

    Attributes:
        rows: Manifest rows dealt with.
        bad: Rows of these that were left out.
        input_bytes: Bytes read.
        read_seconds: Time that decoding waited for files.
        decode_seconds: Time from a file's content to a record.
        write_seconds: Time that writing the shard took.
    """

    rows: int = 0
    bad: int = 0
    input_bytes: int = 0
    read_seconds: float = 0.0
    decode_seconds: float = 0.0
    write_seconds: float = 0.0

    def plus(self, later: Progress) -> Progress:
        """Returns the work of both."""
        return Progress(**{f.name: getattr(self, f.name) + getattr(later, f.name) for f in _FIELDS})

    def __neg__(self) -> Progress:
        return Progress(**{f.name: -getattr(self, f.name) for f in _FIELDS})


_FIELDS = fields(Progress)
Digests = bytes  # `bytes` means something else where a field has that name


@dataclass(frozen=True, kw_only=True, slots=True)
class Sources:
    """What the converted files were like.

    Attributes:
        formats: Files of each format.
        smallest: Least width and least height, in pixels. (0, 0) of no files.
        largest: Greatest width and greatest height.
        oddities: What was odd about some of them.
    """

    formats: dict[str, int]
    smallest: tuple[int, int]
    largest: tuple[int, int]
    oddities: Sightings


class SourceCensus:
    """Counts what source images are like."""

    def __init__(self) -> None:
        self._formats: Counter[str] = Counter()
        self._sizes: set[tuple[int, int]] = set()
        self._oddities: dict[Oddity, Sighting] = {}

    def count(self, rendered: Rendered, row: int, path: str) -> None:
        """Counts one image.

        Args:
            rendered: What became of it.
            row: Its manifest row.
            path: Its path as the manifest spells it.
        """
        self._formats[rendered.source_format] += 1
        self._sizes.add(rendered.source_size)
        for oddity in rendered.oddities:
            self.note(oddity, row, path)

    def note(self, oddity: Oddity, row: int, path: str) -> None:
        """Counts something odd about the source of a row."""
        sighting = Sighting(count=1, row=row, path=path)
        seen = self._oddities.get(oddity)
        self._oddities[oddity] = sighting if seen is None else seen.plus(sighting)

    def sources(self) -> Sources:
        """Returns the counts."""
        widths, heights = zip(*(self._sizes or {(0, 0)}), strict=True)
        return Sources(
            formats=dict(self._formats),
            smallest=(min(widths), min(heights)),
            largest=(max(widths), max(heights)),
            oddities=self._oddities,
        )


def merge_sources(parts: Iterable[Sources]) -> Sources:
    """Adds up the counts of several shards' source files."""
    parts = list(parts)
    formats: Counter[str] = Counter()
    for part in parts:
        formats.update(part.formats)
    some = [part for part in parts if part.formats]
    return Sources(
        formats=dict(formats.most_common()),
        smallest=_each(min, [part.smallest for part in some]),
        largest=_each(max, [part.largest for part in some]),
        oddities=merge_sightings(part.oddities for part in parts),
    )


def _each(choose: Any, sizes: list[tuple[int, int]]) -> tuple[int, int]:
    if not sizes:
        return 0, 0
    return choose(width for width, _ in sizes), choose(height for _, height in sizes)


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardSummary:
    """What became of one shard.

    Attributes:
        file: Its name.
        records: Records written.
        bytes: Size of the shard.
        sha256: Its digest.
        index_bytes: Size of its index. None: it has none, its records are of one length.
        index_sha256: Digest of its index, or None.
        quarantined: Rows that were left out.
        input_bytes: Bytes of source files read.
        sources: What the files were like.
        image_digests: Of each record's image, as uint64 of 8 bytes, lowest first, in record order;
            equal images have equal ones.
        allow: Folders outside the root that paths could lead into while it was written.
        origin: Which files it was made from. None: not known.
    """

    file: str
    records: int
    bytes: int
    sha256: str
    index_bytes: int | None
    index_sha256: str | None
    quarantined: list[Quarantined]
    input_bytes: int
    sources: Sources
    image_digests: Digests
    allow: tuple[str, ...] = ()
    origin: Origin | None = None

    def is_of_fence(self, allow: tuple[str, ...]) -> bool:
        """Returns whether the shard would be the same with these folders allowed."""
        if set(self.allow) == set(allow):
            return True
        # A row that was let in might not be now; one that was kept out might be let in.
        is_wider = set(self.allow) < set(allow)
        return is_wider and not any(row.reason == "outside_root" for row in self.quarantined)

    def is_of_rows(self, rows: Ints) -> bool:
        """Tells whether each of some rows went into the shard or was left out of it.

        Args:
            rows: Manifest rows that the plan gives to the shard.
        """
        left_out = {row.row for row in self.quarantined}
        is_once = len(left_out) == len(self.quarantined)
        return (
            is_once and left_out <= {*rows.tolist()} and self.records + len(left_out) == len(rows)
        )

    @property
    def shard(self) -> Shard:
        """The shard's entry in `dataset.json`."""
        return Shard(
            file=self.file,
            records=self.records,
            bytes=self.bytes,
            sha256=self.sha256,
            index_bytes=self.index_bytes,
            index_sha256=self.index_sha256,
        )

    def to_json(self) -> dict[str, Any]:
        """Returns the summary as JSON values; `summary_from_json` reads them."""
        content = {field.name: getattr(self, field.name) for field in fields(self)}
        return {
            **content,
            "quarantined": [asdict(row) for row in self.quarantined],
            "sources": asdict(self.sources),
            "image_digests": base64.b64encode(self.image_digests).decode(),
            "origin": self.origin and asdict(self.origin),
        }
