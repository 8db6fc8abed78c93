"""A dataset's shards divided into spans, so that all cores have work; and what comes of a span."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from convert.dataset.folder import Folder
from convert.dataset.info import DatasetInfo
from convert.plan.shard_specs import ShardSpec
from convert.verify.findings import RecordFindings
from convert.write.write_shard import ShardJob

Ints = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Inspection:
    """What is the same for all spans of a dataset; sent to each worker once.

    Attributes:
        folder: The dataset's folder; the same one in each worker.
        info: Its description.
        sources: Where the sources are. None: images are not compared with them.
    """

    folder: Folder
    info: DatasetInfo
    sources: ShardJob | None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Span:
    """A run of a shard's bytes that is checked as one.

    Attributes:
        file: The shard's file name.
        shard: Index of the shard in the dataset.
        first: Number of the first record.
        offset: Where the span starts in the file.
        bytes: Its length.
        ends: Where each record ends, from `offset`, int64, shape (records,); of no records the
            bytes are only hashed.
        is_hashed: Whether the sha256 of the bytes is wanted.
        expected: The rows that the manifest has for these records. None: not known.
    """

    file: str
    shard: int
    first: int
    offset: int
    bytes: int
    ends: Ints
    is_hashed: bool
    expected: ShardSpec | None

    @property
    def records(self) -> int:
        """Number of records to check."""
        return len(self.ends)


@dataclass(kw_only=True, slots=True, eq=False)
class SpanReport:
    """What was found in a span.

    Attributes:
        shard: Index of the shard in the dataset.
        first: Number of the first record.
        rows: Manifest rows as read, int64, shape (records,).
        is_sound: Whether every byte of the record is as it was written, bool.
        images: Digests of the images, uint64.
        labels: Digests of the labels, uint64.
        findings: What is wrong with records.
        sha256: Digest of the span, if it was wanted.
        failure: Why the file could not be read to the span's end, or empty.
    """

    shard: int
    first: int
    rows: Ints
    is_sound: Ints
    images: Ints
    labels: Ints
    findings: RecordFindings = field(default_factory=RecordFindings)
    sha256: str | None = None
    failure: str = ""


def pieces(ends: Ints, most_bytes: int) -> Iterator[tuple[int, int, int, int]]:
    """Cuts a span between records.

    Args:
        ends: Where each record ends, from the span's start.
        most_bytes: Bytes of a piece, unless a single record has more.

    Yields:
        First record, one past the last, first byte, one past the last; counted from the span's
        start.
    """
    first = start = 0
    while first < len(ends):
        stop = max(first + 1, int(np.searchsorted(ends, start + most_bytes, "right")))
        end = int(ends[stop - 1])
        yield first, stop, start, end
        first, start = stop, end


def divide(whole: Span, most_bytes: int) -> Iterator[Span]:
    """Divides a shard.

    The digest of a file cannot be divided: it becomes a span of its own, and the records others.

    Args:
        whole: All of a shard.
        most_bytes: Bytes of a span, unless a single record has more.
    """
    if whole.bytes <= most_bytes:
        yield whole
        return
    if whole.is_hashed:
        yield replace(whole, ends=whole.ends[:0], expected=None)
    for first, stop, start, end in pieces(whole.ends, most_bytes):
        yield replace(
            whole,
            first=first,
            offset=start,
            bytes=end - start,
            ends=whole.ends[first:stop] - start,
            is_hashed=False,
            expected=select_rows(whole.expected, np.arange(first, stop)),
        )


def select_rows(spec: ShardSpec | None, indices: Ints) -> ShardSpec | None:
    """Returns some of the rows of a shard, by their numbers in it."""
    if spec is None:
        return None
    return replace(
        spec,
        rows=spec.rows[indices],
        paths=[spec.paths[i] for i in indices],
        labels=spec.labels[indices],
        boxes=None if spec.boxes is None else [spec.boxes[i] for i in indices],
    )
