"""The local engine: worker processes that write shards and die with their parent.

A shard whose worker died is written again. If the row that the worker was at also ends fresh
processes that do nothing else, it is left out as `worker_died`, and costs no more than itself.
"""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

from convert.command.signals import undone_by_signals
from convert.engines.worker import OUT_OF_MEMORY, try_row, work
from convert.errors import ShardfeedError, TryAgainError
from convert.plan.shard_specs import ShardSpec
from convert.write.shard import ShardJob
from convert.write.summary import Progress, ShardSummary

_MAX_DEATHS = 3  # of one shard's worker, or of one row's: more is no accident

# Fork would copy the parent's threads and clients in an unknown state.
_CONTEXT = multiprocessing.get_context("spawn")


def run_local(
    job: ShardJob,
    specs: Iterable[ShardSpec],
    num_workers: int,
    on_progress: Callable[[Progress], None],
) -> Iterator[ShardSummary]:
    """Writes shards in worker processes.

    Args:
        job: What all shards share.
        specs: The shards to write; taken one by one, so that they need not all be in memory.
        num_workers: Processes. At least 1.
        on_progress: Called with the work done since the last call.

    Yields:
        Each shard's summary, in the order in which they get done.

    Raises:
        TryAgainError: The disk failed or is full, or a worker died again and again.
    """
    waiting = iter(specs)
    workers: list[_Worker] = []
    with undone_by_signals(lambda: _stop(workers)):
        yield from _write(job, waiting, workers, num_workers, on_progress)


def _write(
    job: ShardJob,
    waiting: Iterator[ShardSpec],
    workers: list[_Worker],
    num_workers: int,
    on_progress: Callable[[Progress], None],
) -> Iterator[ShardSummary]:
    """Yields the summaries of shards that workers write; `workers` has those that run."""
    again: deque[tuple[ShardSpec, int]] = deque()
    try:
        while True:
            _hand_out(job, waiting, again, workers, num_workers)
            if not workers:
                return
            for worker in _ready(workers):
                message = worker.receive()
                if isinstance(message, Progress):
                    worker.reported.append(message)
                    on_progress(message)
                elif isinstance(message, ShardSummary):
                    worker.spec = None
                    worker.reported.clear()
                    yield message
                elif isinstance(message, ShardfeedError):
                    raise message
                else:
                    workers.remove(worker)
                    again.append(_after_death(job, worker, message))
                    for progress in worker.reported:
                        on_progress(Progress().since(progress))  # it will be done again
    finally:
        _stop(workers)


def _stop(workers: list[_Worker]) -> None:
    """Ends worker processes; all are told before the first is waited for."""
    for worker in workers:
        worker.process.terminate()
    for worker in workers:
        worker.stop()


@dataclass(slots=True)
class _Worker:
    """A worker process, the pipe to it, the row it is at, and the shard it is writing."""

    process: SpawnProcess
    pipe: Connection
    position: Any
    spec: ShardSpec | None = None
    deaths: int = 0
    reported: list[Progress] = field(default_factory=list)

    def receive(self) -> Any:
        """Returns the worker's next message, or its exit code if it is dead."""
        try:
            return self.pipe.recv()
        except (EOFError, OSError):
            self.process.join()
            return self.process.exitcode

    def give(self, spec: ShardSpec, deaths: int) -> None:
        self.spec, self.deaths = spec, deaths
        with contextlib.suppress(OSError):  # it is dead; the next receive() says so
            self.pipe.send(spec)

    def stop(self) -> None:
        self.process.terminate()
        self.process.join()
        self.pipe.close()


def _hand_out(
    job: ShardJob,
    waiting: Iterator[ShardSpec],
    again: deque[tuple[ShardSpec, int]],
    workers: list[_Worker],
    num_workers: int,
) -> None:
    """Gives every idle worker a shard, starts missing workers, and stops those without work."""
    for worker in [w for w in workers if w.spec is None]:
        task = again.popleft() if again else (next(waiting, None), 0)
        if task[0] is None:
            workers.remove(worker)
            worker.stop()
        else:
            worker.give(task[0], task[1])
    while len(workers) < num_workers:
        task = again.popleft() if again else (next(waiting, None), 0)
        if task[0] is None:
            return
        workers.append(_start(job))
        workers[-1].give(task[0], task[1])


def _start(job: ShardJob) -> _Worker:
    ours, theirs = _CONTEXT.Pipe()
    position = _CONTEXT.RawValue(ctypes.c_int64, -1)
    process = start_process(work, job, theirs, position)
    theirs.close()
    return _Worker(process, ours, position)


def start_process(target: Callable[..., None], *arguments: object) -> SpawnProcess:
    """Starts a fresh process that runs a function; Ctrl-C and SIGTERM wait until it is there."""
    process = _CONTEXT.Process(target=target, args=arguments, daemon=True)
    with _stopping_waits():
        process.start()
    return process


@contextlib.contextmanager
def _stopping_waits() -> Iterator[None]:
    """Puts off Ctrl-C and SIGTERM while a worker is started, which else dies with a traceback."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals never interrupt another thread
        return
    caught: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda got, _: caught.append(got)) for number in numbers]
    # The worker ignores Ctrl-C once it runs; blocked from its birth, it also loads in peace. The
    # tracker comes first, because its own start would unblock the signal.
    resource_tracker.ensure_running()
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
        if caught:
            signal.raise_signal(caught[0])


def _ready(workers: list[_Worker]) -> list[_Worker]:
    """Waits until a worker has said something or died."""
    ready = wait([worker.pipe for worker in workers])
    return [worker for worker in workers if worker.pipe in ready]


def _after_death(job: ShardJob, worker: _Worker, exit_code: int) -> tuple[ShardSpec, int]:
    """Returns a dead worker's shard, to be written again by another, and its deaths so far."""
    worker.pipe.close()
    spec = worker.spec
    assert spec is not None  # idle workers are stopped by us, never waited for
    index = worker.position.value
    if index >= 0 and (end := _deadly_end(job, spec, index)):
        return replace(spec, killers={**spec.killers, index: end}), worker.deaths
    deaths = worker.deaths + 1
    if deaths >= _MAX_DEATHS:
        raise TryAgainError(
            f"{spec.file}: its worker died {deaths} times, last with exit code {exit_code} "
            "(-9 is often a lack of memory). Run the same command again, with fewer --workers."
        )
    return spec, deaths


def _deadly_end(job: ShardJob, spec: ShardSpec, index: int) -> str:
    """Returns how fresh processes end that decode only one row; empty if one survives."""
    box = None if spec.boxes is None else spec.boxes[index]
    for _ in range(_MAX_DEATHS):
        # Of the shard no more than the row: what does not fit into a pipe would be waited for, with
        # signals put off, though the process may have been killed before it reads.
        process = start_process(try_row, job, spec.paths[index], box)
        try:
            process.join()
        finally:
            process.terminate()  # of use only if we are being stopped
        if process.exitcode == 0:
            return ""
    return f"decoding it ended {_MAX_DEATHS} fresh processes, {_how_it_ended(process.exitcode)}"


def _how_it_ended(exit_code: int | None) -> str:
    if exit_code == OUT_OF_MEMORY:
        return "for want of memory"
    if exit_code is not None and exit_code < 0:
        return f"by {signal.Signals(-exit_code).name}"
    return f"with exit code {exit_code}"
