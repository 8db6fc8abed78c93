"""Inspections spread over processes that die with their parent; they write nothing anywhere."""

from __future__ import annotations

import contextlib
import os
import time
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe, wait
from multiprocessing.context import SpawnProcess
from typing import Any

from convert.engines.local import start_process
from convert.engines.worker import OUT_OF_MEMORY, settle
from convert.errors import ShardfeedError, TryAgainError
from convert.verify.shards.record_checks import inspect
from convert.verify.shards.spans import Inspection, Span, SpanReport

_REPORT_SECONDS = 0.2  # between two messages of a worker on how far it is
_MAX_DEATHS = 3  # of one span's worker: more is no accident


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
    waiting = iter(spans)
    again: deque[tuple[Span, int]] = deque()
    workers: list[_Worker] = []
    try:
        while True:
            _hand_out(job, waiting, again, workers, num_workers)
            busy = [worker for worker in workers if worker.span is not None]
            if not busy:
                return
            ready = wait([worker.pipe for worker in busy])
            for worker in [worker for worker in busy if worker.pipe in ready]:
                message = worker.receive()
                if isinstance(message, SpanReport):
                    on_bytes(worker.unreported())
                    worker.span = None
                    yield message
                elif isinstance(message, ShardfeedError):
                    raise message
                elif isinstance(message, _Death):
                    workers.remove(worker)
                    again.append(_after_death(worker, message))
                    on_bytes(-worker.reported)  # it will be done again
                else:
                    worker.reported += message
                    on_bytes(message)
    finally:
        for worker in workers:
            worker.stop()


@dataclass(frozen=True, slots=True)
class _Death:
    """Takes the place of the message of a worker that is dead."""

    exit_code: int | None


@dataclass(slots=True)
class _Worker:
    """A worker process, the pipe to it, and the span that it is checking."""

    process: SpawnProcess
    pipe: Connection
    span: Span | None = None
    deaths: int = 0
    reported: int = 0

    def receive(self) -> Any:
        try:
            return self.pipe.recv()
        except (EOFError, OSError):
            self.process.join()
            return _Death(self.process.exitcode)

    def give(self, span: Span, deaths: int) -> None:
        self.span, self.deaths, self.reported = span, deaths, 0
        with contextlib.suppress(OSError):  # it is dead; the next receive() says so
            self.pipe.send(span)

    def unreported(self) -> int:
        """Returns how many bytes of its span's records it has not told of."""
        assert self.span is not None
        return (self.span.bytes if self.span.records else 0) - self.reported

    def stop(self) -> None:
        self.process.kill()  # a worker has nothing to tidy up
        self.process.join()
        self.pipe.close()


def _hand_out(
    job: Inspection,
    waiting: Iterator[Span],
    again: deque[tuple[Span, int]],
    workers: list[_Worker],
    num_workers: int,
) -> None:
    """Gives every idle worker a span, and starts missing workers while there are spans."""
    idle = [worker for worker in workers if worker.span is None]
    while idle or len(workers) < num_workers:
        span, deaths = again.popleft() if again else (next(waiting, None), 0)
        if span is None:
            return
        if not idle:
            idle.append(_start(job))
            workers.append(idle[0])
        idle.pop().give(span, deaths)


def _start(job: Inspection) -> _Worker:
    ours, theirs = Pipe()
    try:
        return _Worker(start_process(_serve, job, theirs), ours)
    finally:
        theirs.close()


def _serve(job: Inspection, pipe: Connection) -> None:
    """Checks the spans that come through a pipe, until it closes."""
    settle()
    # Where the parent was killed, the pipe may break before its end is noticed otherwise.
    with contextlib.suppress(EOFError, ConnectionError):
        while True:
            span = pipe.recv()
            pipe.send(_attempt(job, span, _Throttle(pipe).add))


class _Throttle:
    """Sends on how much was done, now and then."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._bytes = 0
        self._sent = time.monotonic()

    def add(self, num_bytes: int) -> None:
        self._bytes += num_bytes
        if time.monotonic() - self._sent > _REPORT_SECONDS:
            self._pipe.send(self._bytes)
            self._bytes, self._sent = 0, time.monotonic()


def _attempt(
    job: Inspection, span: Span, on_bytes: Callable[[int], None]
) -> SpanReport | ShardfeedError:
    """Checks a span; a failure that may pass becomes a message."""
    try:
        return inspect(job, span, on_bytes)
    except ShardfeedError as error:
        return error
    except MemoryError:
        os._exit(OUT_OF_MEMORY)  # this process may be short of all things


def _after_death(worker: _Worker, death: _Death) -> tuple[Span, int]:
    """Returns a dead worker's span, to be checked again by another, and its deaths so far."""
    worker.pipe.close()
    span = worker.span
    assert span is not None  # idle workers are never waited for
    deaths = worker.deaths + 1
    if deaths >= _MAX_DEATHS:
        last = span.first + span.records - 1
        what = f"records {span.first} to {last}" if span.records else "its sha256"
        raise TryAgainError(
            f"{span.file}: the process that checked {what} died {deaths} times, last with "
            f"exit code {death.exit_code} (-9 is often a lack of memory). "
            "Run the same command again, with fewer --workers."
        )
    return span, deaths
