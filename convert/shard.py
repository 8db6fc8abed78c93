"""Writing one shard: read ahead, decode, encode, publish. The same function in every engine."""

from __future__ import annotations

import hashlib
import os
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

from convert.errors import ImageError
from convert.format import RecordLayout, padded_varints
from convert.image import ImageOptions, render
from convert.plan import ShardSpec
from convert.quarantine import Quarantined
from convert.storage import WRITE_BYTES, SourceReader, publish

READ_THREADS = 4  # small files are bound by latency: several must be under way at once
_ROWS_PER_READ = 16  # amortises the hand-over between threads, about 30 us each
_SLOW_READ_SECONDS = 0.0003  # per file; below it (page cache) threads cost more than they hide
_REPORT_SECONDS = 0.2


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardSummary:
    """What became of one shard.

    Attributes:
        file: Its name.
        records: Records written.
        bytes: Size of the shard.
        sha256: Its digest.
        quarantined: Rows that were left out.
        input_bytes: Bytes of source files read.
        dropped_alpha: Records whose transparency was dropped.
    """

    file: str
    records: int
    bytes: int
    sha256: str
    quarantined: list[Quarantined]
    input_bytes: int
    dropped_alpha: int

    def to_json(self) -> dict[str, Any]:
        """Returns the summary as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> ShardSummary:
        """Returns a summary from JSON values.

        Raises:
            TypeError, KeyError: They are not a summary's.
        """
        rows = [Quarantined(**entry) for entry in content["quarantined"]]
        return cls(**{**content, "quarantined": rows})


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """Work done since the last report.

    Attributes:
        rows: Manifest rows dealt with.
        bad: Rows of these that were left out.
        input_bytes: Bytes read.
        read_seconds: Time that decoding waited for files.
    """

    rows: int = 0
    bad: int = 0
    input_bytes: int = 0
    read_seconds: float = 0.0

    def plus(self, later: Progress) -> Progress:
        """Returns the work of both."""
        return Progress(
            rows=self.rows + later.rows,
            bad=self.bad + later.bad,
            input_bytes=self.input_bytes + later.input_bytes,
            read_seconds=self.read_seconds + later.read_seconds,
        )

    def since(self, earlier: Progress) -> Progress:
        """Returns what was done after an earlier total."""
        return Progress(
            rows=self.rows - earlier.rows,
            bad=self.bad - earlier.bad,
            input_bytes=self.input_bytes - earlier.input_bytes,
            read_seconds=self.read_seconds - earlier.read_seconds,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardJob:
    """What is the same for all shards of a conversion; sent to each worker once.

    Attributes:
        root: Folder of the sources.
        staging: Folder of the conversion in progress.
        layout: The records' layout.
        image: How sources become pixels.
    """

    root: str
    staging: str
    layout: RecordLayout
    image: ImageOptions


def write_shard(job: ShardJob, spec: ShardSpec, report: Callable[[Progress], None]) -> ShardSummary:
    """Writes one shard into the staging folder.

    The file appears under its name only when it is whole; a second writer of the same shard
    finds the name taken and drops its own copy, whose bytes are equal.

    Args:
        job: What all shards share.
        spec: The shard.
        report: Called now and then with the work done since.

    Raises:
        TryAgainError: A source could not be read for a passing reason.
        OSError: The shard could not be written.
    """
    part = os.path.join(job.staging, "attempts", f"{spec.file}.{uuid.uuid4().hex}")
    try:
        with open(part, "xb", buffering=WRITE_BYTES) as file:
            summary = _Writer(job, spec, report).write(file)
            file.flush()
            os.fsync(file.fileno())
        size = os.path.getsize(part)
        if size != summary.bytes:
            raise OSError(0, f"the disk kept {size} of {summary.bytes} bytes", spec.file)
        publish(part, os.path.join(job.staging, "dataset", spec.file))
    finally:
        if os.path.exists(part):
            os.unlink(part)
    return summary


class _Writer:
    """Turns the rows of one shard into records."""

    def __init__(self, job: ShardJob, spec: ShardSpec, report: Callable[[Progress], None]) -> None:
        self._job = job
        self._spec = spec
        self._report = report
        self._quarantined: list[Quarantined] = []
        self._dropped_alpha = 0
        self._input_bytes = 0
        self._rows = 0
        self._read_seconds = 0.0

    def write(self, file: Any) -> ShardSummary:
        digest = hashlib.sha256()
        records = 0
        for pieces in self._records():
            for piece in pieces:
                file.write(piece)
                digest.update(piece)
            records += 1
        return ShardSummary(
            file=self._spec.file,
            records=records,
            bytes=records * self._job.layout.stride,
            sha256=digest.hexdigest(),
            quarantined=self._quarantined,
            input_bytes=self._input_bytes,
            dropped_alpha=self._dropped_alpha,
        )

    def _records(self) -> Iterator[tuple[bytes, bytes, bytes]]:
        """Yields the encoded record of every good row."""
        spec, image_options = self._spec, self._job.image
        labels = padded_varints(spec.labels)
        rows = padded_varints(spec.rows[:, None])
        reported = time.monotonic()
        sent = Progress()
        for index, data in enumerate(self._sources()):
            try:
                if isinstance(data, ImageError):
                    raise data
                self._input_bytes += len(data)
                box = None if spec.boxes is None else spec.boxes[index]
                rendered = render(data, image_options, box)
            except ImageError as error:
                self._leave_out(index, error)
            else:
                self._dropped_alpha += rendered.dropped_alpha
                yield self._job.layout.encode(
                    labels[index].tobytes(), rows[index].tobytes(), rendered.pixels
                )
            self._rows += 1
            if time.monotonic() - reported > _REPORT_SECONDS:
                sent, reported = self._send(sent), time.monotonic()
        self._send(sent)

    def _leave_out(self, index: int, error: ImageError) -> None:
        spec = self._spec
        self._quarantined.append(
            Quarantined(
                row=int(spec.rows[index]),
                path=spec.paths[index],
                reason=error.reason,
                detail=error.detail,
            )
        )

    def _send(self, sent: Progress) -> Progress:
        """Reports what is new since `sent`; returns the totals."""
        total = Progress(
            rows=self._rows,
            bad=len(self._quarantined),
            input_bytes=self._input_bytes,
            read_seconds=self._read_seconds,
        )
        self._report(total.since(sent))
        return total

    def _sources(self) -> Iterator[bytes | ImageError]:
        """Yields each row's file content in order, read ahead by threads if files are slow."""
        reader = SourceReader(self._job.root)
        paths = iter(self._spec.paths)
        while group := list(islice(paths, _ROWS_PER_READ)):
            started = time.monotonic()
            contents = _read_group(reader, group)
            seconds = time.monotonic() - started
            self._read_seconds += seconds
            yield from contents
            if seconds > _SLOW_READ_SECONDS * len(group):
                break
        yield from self._read_ahead(reader, paths)

    def _read_ahead(
        self, reader: SourceReader, paths: Iterator[str]
    ) -> Iterator[bytes | ImageError]:
        """Yields the content of files that threads read ahead."""
        pending: deque[Future[list[bytes | ImageError]]] = deque()
        with ThreadPoolExecutor(READ_THREADS) as pool:
            try:
                while True:
                    while len(pending) < 2 * READ_THREADS:
                        group = list(islice(paths, _ROWS_PER_READ))
                        if not group:
                            break
                        pending.append(pool.submit(_read_group, reader, group))
                    if not pending:
                        return
                    started = time.monotonic()
                    contents = pending.popleft().result()
                    self._read_seconds += time.monotonic() - started
                    yield from contents
            finally:
                pool.shutdown(wait=False, cancel_futures=True)


def _read_group(reader: SourceReader, paths: list[str]) -> list[bytes | ImageError]:
    """Reads several files; a bad one is returned as its error."""
    contents: list[bytes | ImageError] = []
    for path in paths:
        try:
            contents.append(reader.read(path))
        except ImageError as error:
            contents.append(error)
    return contents
