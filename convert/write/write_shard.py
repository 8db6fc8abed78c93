"""Writing one shard: read ahead, decode, encode, publish. The same function in every engine."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
import uuid
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from convert.dataset.index import SUFFIX, index_text
from convert.dataset.record import layout_of_image, padded_varints
from convert.errors import ImageError, TryAgainError
from convert.images import ImageOptions, Rendered, render
from convert.images.oddities import Oddity
from convert.images.pixels.digest import image_digest
from convert.images.sources.file_versions import OriginLog
from convert.images.sources.hdfs_reader import open_sources
from convert.images.sources.prefetch import Content, SourceStream
from convert.images.sources.reader import Reader, Stamps
from convert.images.sources.spellings import OnSpelled, SpellingReader
from convert.plan.rejected_rows import Quarantined
from convert.plan.shard_specs import ShardSpec
from convert.storage.hdfs.error_translation import PassingError
from convert.storage.places import filesystem_of, sha256_file, write_json
from convert.write.shard_summary import Progress, ShardSummary, SourceCensus

ATTEMPTS, DONE, DATASET = "attempts", "done", "dataset"
"""The folders of a staging folder: files being written, a note for each shard, the dataset."""

_REPORT_SECONDS = 0.2
_WRITE_TRIES = 4  # of a shard while HDFS fails for passing reasons


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardJob:
    """What is the same for all shards of a conversion; sent to each worker once.

    Attributes:
        root: Folder of the sources.
        staging: Folder of the conversion in progress.
        num_labels: Class indices in a record.
        image: How sources become images.
        hadoop: Settings of HDFS that go before those of the worker's machine.
        allow: What `allowed_folders` returns.
    """

    root: str
    staging: str
    num_labels: int
    image: ImageOptions
    hadoop: tuple[tuple[str, str], ...] = ()
    allow: tuple[str, ...] = ()

    def source_reader(
        self, on_spelled: OnSpelled = lambda path, helped: None, stamps: Stamps | None = None
    ) -> Reader:
        """Returns the reader of the source files.

        Args:
            on_spelled: Called when another spelling of a path is there; by several threads.
            stamps: Gets the stamp of each file that is read; by several threads.
        """
        reader = open_sources(self.root, self.image.max_bytes, self.allow, stamps)
        return SpellingReader(reader, on_spelled, stamps)


def write_shard(
    job: ShardJob,
    spec: ShardSpec,
    report: Callable[[Progress], None] = lambda progress: None,
    on_row: Callable[[int], None] = lambda index: None,
) -> ShardSummary:
    """Writes one shard into the staging folder, and its index if its images are encoded.

    A file appears under its name only when it is whole and its summary is noted down; a second
    writer of the same shard finds the name taken and drops its own copy, whose bytes are equal.
    Where HDFS fails for a passing reason, the shard is begun again.

    Args:
        job: What all shards share.
        spec: The shard.
        report: Called now and then with the work done since.
        on_row: Called with a row's index in the shard before its image is decoded.

    Raises:
        TryAgainError: A source could not be read for a passing reason, or another writer of the
            shard has found other sources.
        OSError: The shard could not be written.
        MemoryError: An image does not fit in memory.
    """
    for attempt in range(1, _WRITE_TRIES + 1):
        writer = _Writer(job, spec, report, on_row)
        try:
            return _write(job, spec, writer)
        except PassingError:
            if attempt == _WRITE_TRIES:
                raise
            writer.take_back()
            time.sleep(attempt)
    raise AssertionError("the last try returns or raises")


def _write(job: ShardJob, spec: ShardSpec, writer: _Writer) -> ShardSummary:
    """Writes one shard, notes down its summary, and publishes it."""
    files = filesystem_of(job.staging)
    attempt = attempt_path(job.staging, spec.file)
    target = os.path.join(job.staging, DATASET, spec.file)
    index = attempt + SUFFIX
    try:
        with contextlib.ExitStack() as open_files:
            summary = writer.write(open_files.enter_context(files.create(attempt)))
            whole = open_files.pop_all()
        # The summary before the name: who finds the shard finds what tells whether it is whole.
        files.together(
            whole.close,
            partial(_write_index, index, writer.index),
            partial(record_summary, job.staging, summary),
        )
        if writer.index is not None:
            _publish(index, target + SUFFIX, summary.index_sha256)
        _publish(attempt, target, summary.sha256)
    except BaseException:
        with contextlib.suppress(OSError, TryAgainError):
            for part in (attempt, index):
                files.remove(part)
        raise
    return summary


def _write_index(path: str, content: bytes | None) -> None:
    if content is not None:
        with filesystem_of(path).create(path) as file:
            file.write(content)


def record_summary(staging: str, summary: ShardSummary) -> None:
    """Notes down what became of a shard, where a resume looks for it."""
    write_json(note_path(staging, summary.file), summary.to_json())


def note_path(staging: str, file: str) -> str:
    """Returns where it is noted down what became of a shard."""
    return os.path.join(staging, DONE, f"{file}.json")


def attempt_path(staging: str, name: str) -> str:
    """Returns a path of its own for a file to be written."""
    return os.path.join(staging, ATTEMPTS, f"{name}.{uuid.uuid4().hex}")


def _publish(part: str, target: str, digest: str | None) -> None:
    """Moves a file to its place; one that another writer put there before must be the same."""
    if not filesystem_of(target).publish(part, target) and sha256_file(target) != digest:
        raise TryAgainError(
            f"{os.path.basename(target)}: another process wrote it, out of other files. "
            "Run the same command again."
        )


class _Writer:
    """Turns the rows of one shard into records.

    Attributes:
        index: Of the records, once they are written. None: they are of one length.
    """

    def __init__(
        self,
        job: ShardJob,
        spec: ShardSpec,
        report: Callable[[Progress], None],
        on_row: Callable[[int], None],
    ) -> None:
        self._job = job
        self._spec = spec
        self._report = report
        self._on_row = on_row
        self._spelled: dict[str, tuple[Oddity, ...]] = {}
        self._origin = OriginLog()
        reader = job.source_reader(self._spelled.__setitem__, self._origin.stamps)
        self._stream = SourceStream(reader, spec.paths)
        self._quarantined: list[Quarantined] = []
        self._lengths: list[int] = []
        self.index: bytes | None = None
        self._digests = array("Q")
        self._census = SourceCensus()
        self._rows = self._input_bytes = 0
        self._write_seconds = 0.0
        self._sent = Progress()

    def write(self, file: Any) -> ShardSummary:
        """Writes all records; returns what became of them."""
        digest = hashlib.sha256()
        for pieces in self._records():
            started = time.perf_counter()
            for piece in pieces:
                file.write(piece)
                digest.update(piece)
            self._lengths.append(sum(map(len, pieces)))
            self._write_seconds += time.perf_counter() - started
        if self._job.image.encoding != "raw":
            self.index = index_text(self._lengths).encode()
        index = self.index
        return ShardSummary(
            file=self._spec.file,
            records=len(self._lengths),
            bytes=sum(self._lengths),
            sha256=digest.hexdigest(),
            index_bytes=None if index is None else len(index),
            index_sha256=None if index is None else hashlib.sha256(index).hexdigest(),
            quarantined=self._quarantined,
            input_bytes=self._input_bytes,
            sources=self._census.sources(),
            image_digests=np.array(self._digests, "<u8").tobytes(),
            allow=self._job.allow,
            origin=self._origin.origin(self._spec.paths),
        )

    def _records(self) -> Iterator[tuple[bytes, bytes, bytes]]:
        """Yields the encoded record of every good row."""
        labels = padded_varints(self._spec.labels)
        rows = padded_varints(self._spec.rows[:, None])
        started = reported = time.perf_counter()
        for index, data in enumerate(self._stream):
            self._origin.add(data)
            try:
                rendered = self._render(index, data)
            except ImageError as error:
                self._leave_out(index, error)
            else:
                layout = layout_of_image(self._job.num_labels, len(rendered.content))
                yield layout.encode(
                    labels[index].tobytes(), rows[index].tobytes(), rendered.content
                )
            self._rows += 1
            now = time.perf_counter()
            if now - reported > _REPORT_SECONDS:
                self._send(now - started)
                reported = now
        self._send(time.perf_counter() - started)

    def _render(self, index: int, data: Content) -> Rendered:
        """Returns one row's image."""
        spec = self._spec
        if index in spec.killers:
            raise ImageError("worker_died", spec.killers[index])
        self._on_row(index)
        if not isinstance(data, bytes):
            raise data
        self._input_bytes += len(data)
        row, path = int(spec.rows[index]), spec.paths[index]
        for oddity in self._spelled.get(path, ()):
            self._census.note(oddity, row, path)
        box = None if spec.boxes is None else spec.boxes[index]
        rendered = render(data, self._job.image, box)
        self._digests.append(image_digest(rendered.content))
        self._census.count(rendered, row, path)
        return rendered

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

    def take_back(self) -> None:
        """Reports that all of it has to be done again."""
        self._report(-self._sent)

    def _send(self, seconds: float) -> None:
        """Reports what is new.

        Args:
            seconds: Time since the first row.
        """
        total = Progress(
            rows=self._rows,
            bad=len(self._quarantined),
            input_bytes=self._input_bytes,
            read_seconds=self._stream.wait_seconds,
            decode_seconds=seconds - self._stream.wait_seconds - self._write_seconds,
            write_seconds=self._write_seconds,
        )
        self._report(total.plus(-self._sent))
        self._sent = total
