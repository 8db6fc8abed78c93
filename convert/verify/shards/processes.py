"""Inspections, in this process or spread over several; they write nothing anywhere."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass

from convert.engines.process_pool import ProcessPool
from convert.errors import TryAgainError
from convert.verify.shards.record_checks import inspect
from convert.verify.shards.spans import Inspection, Span, SpanReport

_REPORT_SECONDS = 0.2  # between two messages of a worker on how far it is


def inspect_here(
    job: Inspection, spans: Iterable[Span], on_bytes: Callable[[int], None]
) -> Generator[SpanReport, None, None]:
    """Checks spans in this process, one after the other.

    Raises:
        TryAgainError: A source could not be read, or memory is short.
    """
    for span in spans:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # decoders warn about harmless oddities
            try:
                report = inspect(job, span, on_bytes)
            except MemoryError as error:
                raise TryAgainError(
                    f"{span.file}: an image does not fit in memory. "
                    "Free memory, then run the same command again."
                ) from error
        yield report


def inspect_in_processes(
    job: Inspection, spans: Iterable[Span], num_workers: int, on_bytes: Callable[[int], None]
) -> Generator[SpanReport, None, None]:
    """Checks spans in worker processes.

    Args:
        job: The dataset.
        spans: What to check; taken one by one, as workers get idle.
        num_workers: Processes. At least 1.
        on_bytes: Called with the number of bytes that were checked since the last call.

    Yields:
        Each span's report, in the order in which they get done.

    Raises:
        TryAgainError: A source could not be read, or a worker died again and again.
    """
    return ProcessPool(_SpanWork(job), num_workers, on_bytes, _worker_of).run(spans)


def _worker_of(span: Span) -> str:
    last = span.first + span.records - 1
    what = f"records {span.first} to {last}" if span.records else "its sha256"
    return f"{span.file}: the process that checked {what}"


@dataclass(frozen=True, slots=True)
class _SpanWork:
    """Checks spans in a worker process."""

    job: Inspection

    def __call__(
        self, span: Span, report: Callable[[int], None], on_item: Callable[[int], None]
    ) -> SpanReport:
        left, waiting, sent = span.bytes if span.records else 0, 0, time.monotonic()

        def on_bytes(num_bytes: int) -> None:
            nonlocal left, waiting, sent
            left, waiting = left - num_bytes, waiting + num_bytes
            if time.monotonic() - sent > _REPORT_SECONDS:
                report(waiting)
                waiting, sent = 0, time.monotonic()

        found = inspect(self.job, span, on_bytes)
        report(waiting + left)  # also what could not be read
        return found
