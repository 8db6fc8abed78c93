"""Checking a run of a shard's records, byte by byte; the same function in every process."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from convert.errors import ImageError
from convert.images.sources.prefetch import Content, SourceStream
from convert.verify.findings import Kind, record_problem, shown
from convert.verify.shards.pictures import compare, decode
from convert.verify.shards.record_columns import Columns, take_apart
from convert.verify.shards.shard_bytes import ShardStream
from convert.verify.shards.spans import Inspection, Span, SpanReport, pieces

_CHUNK_BYTES = 1 << 20  # hashed and checked while it still is in a core's cache

Ints = np.ndarray[Any, np.dtype[Any]]


def inspect(job: Inspection, span: Span, on_bytes: Callable[[int], None]) -> SpanReport:
    """Checks a span.

    Args:
        job: The dataset.
        span: What to check.
        on_bytes: Called with the number of bytes of records that were checked since the last call.

    Raises:
        TryAgainError: The shard or a source could not be read for a passing reason.
        MemoryError: An image does not fit in memory.
    """
    inspector = _Inspector(job, span)
    report = inspector.report
    digest = hashlib.sha256()
    try:
        stream = ShardStream(job.folder, span.file, span.offset, span.offset + span.bytes)
        for first, stop, start, end in _chunks(span):
            data = stream.read(span.offset + start, end - start)
            if span.is_hashed:
                digest.update(data)
            if stop > first:
                inspector.take(first, stop, data)
                on_bytes(len(data))
    except OSError as error:
        report.failure = error.strerror or str(error)
    else:
        report.sha256 = digest.hexdigest() if span.is_hashed else None
    return report


def _chunks(span: Span) -> Iterator[tuple[int, int, int, int]]:
    """Yields first and last record and byte of each piece to read at once, half-open."""
    if span.records:
        yield from pieces(span.ends, _CHUNK_BYTES)
        return
    for start in range(0, span.bytes, _CHUNK_BYTES):
        yield 0, 0, start, min(start + _CHUNK_BYTES, span.bytes)


class _Inspector:
    """Checks the records of one span.

    Attributes:
        report: What was found so far.
    """

    def __init__(self, job: Inspection, span: Span) -> None:
        self._info = job.info
        self._span = span
        self._classes = list(job.info.classes.values())
        self._num_classes = np.array([len(names) for names in self._classes])
        bits = np.random.Philox(key=0).random_raw(len(self._classes))
        self._multipliers = bits | np.uint64(1)  # odd, so that no bit of a label is lost
        self._sources: Iterator[Content] | None = None
        if job.sources is not None and span.expected is not None:
            self._sources = iter(SourceStream(job.sources.source_reader(), span.expected.paths))
        self.report = SpanReport(
            shard=span.shard,
            first=span.first,
            rows=np.zeros(span.records, np.int64),
            is_sound=np.zeros(span.records, bool),
            images=np.zeros(span.records, np.uint64),
            labels=np.zeros(span.records, np.uint64),
        )

    def take(self, first: int, stop: int, data: bytes) -> None:
        """Checks some of the span's records.

        Args:
            first: The first of them, counted from the span's first.
            stop: One past the last.
            data: Their bytes.
        """
        ends = self._span.ends[first:stop]
        start = self._span.ends[first - 1] if first else 0
        columns = take_apart(data, ends - start, len(self._classes))
        report, part = self.report, slice(first, stop)
        report.rows[part] = columns.rows
        report.is_sound[part] = columns.is_sound
        report.images[part] = columns.digests
        report.labels[part] = (columns.labels.astype(np.uint64) * self._multipliers).sum(axis=1)
        for index in np.flatnonzero(~columns.is_sound).tolist():
            self._find(first + index, "zeros" if columns.is_zero[index] else "flipped_bytes")
        self._check_labels(first, columns)
        self._check_expected(first, columns)
        self._check_images(first, columns)

    def _find(self, position: int, kind: Kind, detail: str = "") -> None:
        """Notes what is wrong with a record.

        Args:
            position: The record, counted from the span's first.
            kind: What is wrong.
            detail: What was found and expected, or empty.
        """
        expected, read = self._span.expected, int(self.report.rows[position])
        row, path, is_certain = read, None, bool(self.report.is_sound[position])
        if expected is not None:
            row, path, is_certain = int(expected.rows[position]), expected.paths[position], True
        problem = record_problem(
            kind,
            self._span.file,
            self._span.first + position,
            detail,
            row=None if row < 0 else row,
            path=None if path is None else shown(path),
            is_certain=is_certain,
        )
        self.report.findings.add(problem)

    def _check_labels(self, first: int, columns: Columns) -> None:
        """Finds labels that are no class.

        Args:
            first: The first of the records, counted from the span's first.
            columns: The records.
        """
        beyond = columns.labels >= self._num_classes
        for index in np.flatnonzero(beyond.any(axis=1) & columns.is_sound).tolist():
            output = int(np.argmax(beyond[index]))
            name, classes = list(self._info.outputs)[output], self._num_classes[output]
            label = columns.labels[index, output]
            self._find(first + index, "label_range", f"{name} is {label}, of {classes:,} classes")

    def _check_expected(self, first: int, columns: Columns) -> None:
        """Compares rows and labels with the manifest's.

        Args:
            first: The first of the records, counted from the span's first.
            columns: The records.
        """
        expected = self._span.expected
        if expected is None:
            return
        part = slice(first, first + len(columns.rows))
        other_row = columns.is_sound & (columns.rows != expected.rows[part])
        for index in np.flatnonzero(other_row).tolist():
            self._find(first + index, "row_differs", f"it has row {columns.rows[index]}")
        other_labels = (columns.labels != expected.labels[part]).any(axis=1)
        for index in np.flatnonzero(other_labels & columns.is_sound & ~other_row).tolist():
            found = self._text(columns.labels[index])
            detail = f"{found}, the manifest has {self._text(expected.labels[first + index])}"
            self._find(first + index, "labels_differ", detail)

    def _text(self, labels: Ints) -> str:
        """Returns labels as their classes."""
        names = [
            classes[index] if 0 <= index < len(classes) else f"<{index}>"
            for classes, index in zip(self._classes, labels.tolist(), strict=True)
        ]
        return shown(("" if all(len(name) <= 1 for name in names) else ",").join(names))

    def _check_images(self, first: int, columns: Columns) -> None:
        """Decodes encoded images, and compares images with their sources.

        Args:
            first: The first of the records, counted from the span's first.
            columns: The records.
        """
        expected = self._span.expected
        if self._info.is_raw and self._sources is None:
            return
        for index, content in enumerate(columns.images):
            source = None if self._sources is None else next(self._sources)
            if not columns.is_sound[index]:
                continue
            position = first + index
            try:
                decode(content, self._info)
            except ImageError as error:
                self._find(position, "image", error.detail)
                continue
            if source is None or expected is None:
                continue
            if columns.rows[index] == expected.rows[position]:
                box = None if expected.boxes is None else expected.boxes[position]
                if found := compare(content, source, box, self._info):
                    self._find(position, *found)
