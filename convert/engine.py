"""The local engine: worker processes that write shards and die with their parent."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

from convert.errors import ShardfeedError, TryAgainError
from convert.plan import ShardSpec
from convert.shard import Progress, ShardJob, ShardSummary, write_shard

_MAX_DEATHS = 3  # of one shard's worker; more is no accident

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
    again: deque[tuple[ShardSpec, int]] = deque()
    workers: list[_Worker] = []
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
                    again.append(_after_death(worker, message))
                    for progress in worker.reported:
                        on_progress(Progress().since(progress))  # it will be done again
    finally:
        for worker in workers:
            worker.stop()


@dataclass(slots=True)
class _Worker:
    """A worker process, the pipe to it, and the shard it is writing."""

    process: SpawnProcess
    pipe: Connection
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
    process = _CONTEXT.Process(target=_work, args=(job, theirs), daemon=True)
    with _stopping_waits():
        process.start()
    theirs.close()
    return _Worker(process, ours)


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


def _after_death(worker: _Worker, exit_code: int) -> tuple[ShardSpec, int]:
    """Returns a dead worker's shard, to be written again by another."""
    worker.pipe.close()
    assert worker.spec is not None  # idle workers are stopped by us, never waited for
    deaths = worker.deaths + 1
    if deaths >= _MAX_DEATHS:
        raise TryAgainError(
            f"{worker.spec.file}: its worker died {deaths} times, last with exit code {exit_code} "
            "(-9 is often a lack of memory). Run the same command again, with fewer --workers."
        )
    return worker.spec, deaths


def _work(job: ShardJob, pipe: Connection) -> None:
    """The worker process: writes the shards it is given until its pipe closes."""
    # The parent turns Ctrl-C into an orderly stop; a worker has nothing of its own to save.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    warnings.simplefilter("ignore")  # decoders warn about harmless oddities of single files
    threading.Thread(target=_die_with_parent, daemon=True).start()
    while True:
        try:
            spec = pipe.recv()
        except EOFError:
            return
        pipe.send(_attempt(job, spec, pipe.send))


def _attempt(
    job: ShardJob, spec: ShardSpec, report: Callable[[Progress], None]
) -> ShardSummary | ShardfeedError:
    """Writes a shard; a failure that may pass becomes a message."""
    try:
        return write_shard(job, spec, report)
    except ShardfeedError as error:
        return error
    except OSError as error:
        return TryAgainError(
            f"{spec.file}: cannot be written: {error.strerror}. "
            "Free space or repair the disk, then run the same command again: it goes on."
        )


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None  # only called in workers
    wait([parent.sentinel])
    os._exit(1)
