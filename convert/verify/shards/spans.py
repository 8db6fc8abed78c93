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
from convert.write.shard import ShardJob

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
        records: Number of records to check. 0: the bytes are only hashed.
        offset: Where the span starts in the file.
        bytes: Its length.
        ends: Where each record ends, from `offset`, int64, shape (records,). None: all records
            are of the layout's length.
        is_hashed: Whether the sha256 of the bytes is wanted.
        expected: The rows that the manifest has for these records. None: not known.
    """

    file: str
    shard: int
    first: int
    records: int
    offset: int
    bytes: int
    ends: Ints | None
    is_hashed: bool
    expected: ShardSpec | None


@dataclass(kw_only=True, slots=True, eq=False)
class SpanReport:
    """What was found in a span.

    Attributes:
        shard: Index of the shard in the dataset.
        first: Number of the first record.
        rows: Manifest rows as read, int64, shape (records,); -1 where there is no number.
        is_sound: Whether every byte of the record is as it was written, bool.
        images: Digests of the images, uint64.
        labels: Digests of the labels, uint64.
        findings: What is wrong with records.
        num_near: Records that are there at all, though they may be damaged.
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
    num_near: int = 0
    sha256: str | None = None
    failure: str = ""


def empty_report(span: Span) -> SpanReport:
    """Returns the report on a span of which nothing was read yet."""
    return SpanReport(
        shard=span.shard,
        first=span.first,
        rows=np.full(span.records, -1, np.int64),
        is_sound=np.zeros(span.records, bool),
        images=np.zeros(span.records, np.uint64),
        labels=np.zeros(span.records, np.uint64),
    )


def pieces(span: Span, stride: int, most_bytes: int) -> Iterator[tuple[int, int, int, int]]:
    """Cuts a span between records.

    Args:
        span: The span; it has records.
        stride: Length of a record, where all are of one length.
        most_bytes: Bytes of a piece, unless a single record has more.

    Yields:
        First record, one past the last, first byte, one past the last; counted from the span's
        start.
    """
    first = start = 0
    while first < span.records:
        if span.ends is None:
            stop = min(first + max(1, most_bytes // stride), span.records)
            end = stop * stride
        else:
            fitting = int(np.searchsorted(span.ends, start + most_bytes, "right"))
            stop = max(first + 1, fitting)
            end = int(span.ends[stop - 1])
        yield first, stop, start, end
        first, start = stop, end


def divide(whole: Span, stride: int, most_bytes: int) -> Iterator[Span]:
    """Divides a shard.

    The digest of a file cannot be divided: it becomes a span of its own, and the records others.

    Args:
        whole: All of a shard.
        stride: Length of a record, where all are of one length.
        most_bytes: Bytes of a span, unless a single record has more.
    """
    if whole.bytes <= most_bytes:
        yield whole
        return
    if whole.is_hashed:
        yield replace(whole, records=0, ends=None, expected=None)
    for first, stop, start, end in pieces(whole, stride, most_bytes):
        yield replace(
            whole,
            first=first,
            records=stop - first,
            offset=start,
            bytes=end - start,
            ends=None if whole.ends is None else whole.ends[first:stop] - start,
            is_hashed=False,
            expected=part_of(whole.expected, first, stop),
        )


def part_of(expected: ShardSpec | None, first: int, stop: int) -> ShardSpec | None:
    """Returns some of the rows of a shard."""
    if expected is None:
        return None
    boxes = expected.boxes
    return replace(
        expected,
        rows=expected.rows[first:stop],
        paths=expected.paths[first:stop],
        labels=expected.labels[first:stop],
        boxes=None if boxes is None else boxes[first:stop],
    )
