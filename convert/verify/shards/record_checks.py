"""Checking a run of a shard's records, byte by byte; the same function in every process."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from convert.dataset.info import DatasetInfo
from convert.errors import ImageError
from convert.images.sources.prefetch import Content, SourceStream
from convert.verify.findings import shown
from convert.verify.shards.pictures import compare, decode
from convert.verify.shards.record_columns import Columns, columns_of_equal, columns_of_unequal
from convert.verify.shards.shard_bytes import open_reader
from convert.verify.shards.spans import Inspection, Span, SpanReport, empty_report, pieces

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
    report = empty_report(span)
    inspector = _Inspector(job, span, report)
    digest = hashlib.sha256() if span.is_hashed else None
    try:
        with open_reader(job.folder, span.file, span.offset, span.offset + span.bytes) as reader:
            for first, stop, start, end in _chunks(span, job.info):
                data = reader.read(span.offset + start, end - start)
                if digest is not None:
                    digest.update(data)
                if stop > first:
                    inspector.take(first, stop, data)
                    on_bytes(len(data))
    except OSError as error:
        report.failure = error.strerror or str(error)
    else:
        report.sha256 = None if digest is None else digest.hexdigest()
    return report


def _chunks(span: Span, info: DatasetInfo) -> Iterator[tuple[int, int, int, int]]:
    """Yields first and last record and byte of each piece to read at once, half-open."""
    if not span.records:
        for start in range(0, span.bytes, _CHUNK_BYTES):
            yield 0, 0, start, min(start + _CHUNK_BYTES, span.bytes)
        return
    yield from pieces(span, info.layout.stride, _CHUNK_BYTES)


class _Inspector:
    """Judges the records of one span."""

    def __init__(self, job: Inspection, span: Span, report: SpanReport) -> None:
        self._info = job.info
        self._span = span
        self._report = report
        self._classes = list(job.info.classes.values())
        self._num_classes = np.array([len(names) for names in self._classes])
        bits = np.random.Philox(key=0).random_raw(len(self._classes))
        self._multipliers = bits | np.uint64(1)  # odd, so that no bit of a label is lost
        self._sources: Iterator[Content] | None = None
        if job.sources is not None and span.expected is not None:
            self._sources = iter(SourceStream(job.sources.source_reader(), span.expected.paths))

    def take(self, first: int, stop: int, data: bytes) -> None:
        """Checks some of the span's records.

        Args:
            first: The first of them, counted from the span's first.
            stop: One past the last.
            data: Their bytes.
        """
        columns = self._columns(first, stop, data)
        report, part = self._report, slice(first, stop)
        report.rows[part] = columns.rows
        report.is_sound[part] = columns.is_sound
        report.images[part] = columns.digests
        report.labels[part] = (columns.labels.astype(np.uint64) * self._multipliers).sum(axis=1)
        report.num_near += int(np.count_nonzero(columns.is_near))
        start = self._span.first + first
        flipped = start + np.flatnonzero(~columns.is_sound & ~columns.is_zero)
        report.findings.add_all(flipped.tolist(), "flipped_bytes")
        zeros = start + np.flatnonzero(columns.is_zero)
        report.findings.add_all(zeros.tolist(), "zeros")
        self._check_labels(start, columns)
        self._check_expected(first, columns)
        self._check_images(first, columns)

    def _columns(self, first: int, stop: int, data: bytes) -> Columns:
        span = self._span
        if span.ends is None:
            keep = self._sources is not None
            return columns_of_equal(data, self._info.layout, keep_images=keep)
        start = span.ends[first - 1] if first else 0
        return columns_of_unequal(data, span.ends[first:stop] - start, len(self._classes))

    def _check_labels(self, start: int, columns: Columns) -> None:
        """Finds labels that are no class.

        Args:
            start: Number of the first of the records in the shard.
            columns: The records.
        """
        beyond = columns.labels >= self._num_classes
        for index in np.flatnonzero(beyond.any(axis=1) & columns.is_sound).tolist():
            output = int(np.argmax(beyond[index]))
            name, classes = list(self._info.outputs)[output], self._num_classes[output]
            label = columns.labels[index, output]
            self._report.findings.add(
                start + index, "label_range", f"{name} is {label}, of {classes:,} classes"
            )

    def _check_expected(self, first: int, columns: Columns) -> None:
        """Compares rows and labels with the manifest's.

        Args:
            first: The first of the records, counted from the span's first.
            columns: The records.
        """
        expected, findings = self._span.expected, self._report.findings
        if expected is None:
            return
        part = slice(first, first + len(columns.rows))
        other_row = columns.is_sound & (columns.rows != expected.rows[part])
        for index in np.flatnonzero(other_row).tolist():
            detail = f"expected row {expected.rows[first + index]}"
            findings.add(self._span.first + first + index, "row_differs", detail)
        other_labels = (columns.labels != expected.labels[part]).any(axis=1)
        for index in np.flatnonzero(other_labels & columns.is_sound & ~other_row).tolist():
            found = self._text(columns.labels[index])
            detail = f"{found}, the manifest has {self._text(expected.labels[first + index])}"
            findings.add(self._span.first + first + index, "labels_differ", detail)

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
        expected, findings = self._span.expected, self._report.findings
        for index, content in enumerate(columns.images):
            source = None if self._sources is None else next(self._sources)
            if not columns.is_sound[index]:
                continue
            record = self._span.first + first + index
            try:
                decode(content, self._info)
            except ImageError as error:
                findings.add(record, "image", error.detail)
                continue
            if source is None or expected is None:
                continue
            position = first + index
            if columns.rows[index] == expected.rows[position]:
                box = None if expected.boxes is None else expected.boxes[position]
                if found := compare(content, source, box, self._info):
                    findings.add(record, *found)
