"""A pool of worker processes that die with their parent, for tasks that may end a process.

The task of a worker that died is done again by another one. Which item of its task a worker is at
stands in shared memory, so that the parent can tell which one ended it.
"""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import signal
import threading
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any, Generic, TypeVar

from convert.command.signals import undone_by_signals
from convert.errors import ShardfeedError, TryAgainError, UsageError

Task = TypeVar("Task")
Result = TypeVar("Result")
Work = Callable[[Task, Callable[[Any], None], Callable[[int], None]], Result]
"""Does a task. Calls the second argument with what was done since its last call, which `-` takes
back; the third with the number of an item of the task before it is worked at."""

MAX_DEATHS = 3  # of one task's worker, or of one item's: more is no accident
_IDLE, _NOT_BEGUN = -1, -2  # in the place of an item's number
OUT_OF_MEMORY = 71
"""Exit code of a worker that the system gave no more memory; any number that is not taken."""

# Fork would copy the parent's threads and clients in an unknown state.
_CONTEXT = multiprocessing.get_context("spawn")


class ProcessPool(Generic[Task, Result]):
    """Does tasks in worker processes.

    Args:
        work: Does one task; sent to each worker once.
        num_workers: Processes. At least 1.
        on_report: Called with what the work has reported; with its negative, if a worker's death
            makes that be done again.
        name: Names the worker of a task, as an error message begins.
        spare: Returns a task without the item at which its worker died, if that item is to blame.
    """

    def __init__(
        self,
        work: Work[Task, Result],
        num_workers: int,
        on_report: Callable[[Any], None],
        name: Callable[[Task], str],
        spare: Callable[[Task, int], Task | None] = lambda task, item: None,
    ) -> None:
        self._work, self._num_workers = work, num_workers
        self._on_report, self._name, self._spare = on_report, name, spare
        self._again: deque[tuple[Task, int]] = deque()
        self._workers: list[_Worker[Task]] = []

    def run(self, tasks: Iterable[Task]) -> Generator[Result, None, None]:
        """Does tasks; they are taken one by one, so that they need not all be in memory.

        Yields:
            Each task's result, in the order in which they get done.

        Raises:
            ShardfeedError: What the work raises.
            TryAgainError: A worker died again and again.
            UsageError: Workers cannot import the caller's script.
        """
        waiting = iter(tasks)
        with undone_by_signals(self._stop):
            try:
                while self._hand_out(waiting):
                    ready = wait([worker.pipe for worker in self._workers])
                    for worker in [w for w in self._workers if w.pipe in ready]:
                        yield from self._take(worker)
            finally:
                self._stop()

    def _take(self, worker: _Worker[Task]) -> Iterator[Result]:
        """Takes a worker's message; yields it if it is a result."""
        message = worker.receive()
        if isinstance(message, _Report):
            worker.reported.append(message.done)
            self._on_report(message.done)
        elif isinstance(message, _Death):
            self._workers.remove(worker)
            self._again.append(self._after_death(worker, message.exit_code))
            for done in worker.reported:
                self._on_report(-done)
        elif isinstance(message, ShardfeedError):
            raise message
        else:
            worker.task = None
            yield message

    def _hand_out(self, waiting: Iterator[Task]) -> bool:
        """Gives all workers a task as long as there are any; stops those without.

        Returns:
            Whether a worker is at work.
        """
        idle = [worker for worker in self._workers if worker.task is None]
        while idle or len(self._workers) < self._num_workers:
            task, deaths = self._again.popleft() if self._again else (next(waiting, None), 0)
            if task is None:
                break
            if not idle:
                idle.append(_start(self._work))
                self._workers.append(idle[0])
            idle.pop(0).give(task, deaths)
        for worker in idle:
            self._workers.remove(worker)
            worker.stop()
        return bool(self._workers)

    def _stop(self) -> None:
        """Ends the workers; all are told before the first is waited for."""
        for worker in self._workers:
            worker.process.terminate()
        for worker in self._workers:
            worker.stop()

    def _after_death(self, worker: _Worker[Task], exit_code: int | None) -> tuple[Task, int]:
        """Returns a dead worker's task, to be done again by another, and its deaths so far."""
        worker.pipe.close()
        task, item = worker.task, worker.position.value
        assert task is not None  # idle workers are stopped by us, never waited for
        if item >= 0 and (spared := self._spare(task, item)) is not None:
            return spared, worker.deaths
        deaths = worker.deaths + 1
        if deaths >= MAX_DEATHS:
            if item == _NOT_BEGUN and exit_code == 1:  # Python's own of an error
                raise UsageError(
                    f"{self._name(task)} ended {deaths} times before it began, with the error "
                    "above. Each worker imports the script that starts it: call this under "
                    '`if __name__ == "__main__":`.'
                )
            raise TryAgainError(
                f"{self._name(task)} died {deaths} times, last with exit code {exit_code} "
                "(-9 is often a lack of memory). Run the same command again, with fewer --workers."
            )
        return task, deaths


@dataclass(frozen=True, slots=True)
class _Report:
    """The message of a worker that has done something."""

    done: Any


@dataclass(frozen=True, slots=True)
class _Death:
    """Takes the place of the message of a worker that is dead."""

    exit_code: int | None


@dataclass(slots=True)
class _Worker(Generic[Task]):
    """A worker process, the pipe to it, the item it is at, and the task it is doing."""

    process: SpawnProcess
    pipe: Connection
    position: Any
    task: Task | None = None
    deaths: int = 0
    reported: list[Any] = field(default_factory=list)

    def receive(self) -> Any:
        try:
            return self.pipe.recv()
        except (EOFError, OSError):
            self.process.join()
            return _Death(self.process.exitcode)

    def give(self, task: Task, deaths: int) -> None:
        self.task, self.deaths, self.reported = task, deaths, []
        with contextlib.suppress(OSError):  # it is dead; the next receive() says so
            self.pipe.send(task)

    def stop(self) -> None:
        self.process.terminate()
        self.process.join()
        self.pipe.close()


def _start(work: Work[Any, Any]) -> _Worker[Any]:
    ours, theirs = _CONTEXT.Pipe()
    position = _CONTEXT.RawValue(ctypes.c_int64, _NOT_BEGUN)
    try:
        return _Worker(start_process(_serve, work, theirs, position), ours, position)
    finally:
        theirs.close()


def start_process(target: Callable[..., None], *arguments: object) -> SpawnProcess:
    """Starts a process that settles and runs a function; Ctrl-C and SIGTERM wait until it is there.

    Args:
        target: The function; a `MemoryError` of it ends the process with `OUT_OF_MEMORY`.
        arguments: The function's.
    """
    process = _CONTEXT.Process(target=_settled, args=(target, *arguments), daemon=True)
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


def _settled(target: Callable[..., None], *arguments: object) -> None:
    """Sets up a fresh process and runs a function."""
    # The parent turns Ctrl-C into an orderly stop; a worker has nothing of its own to save.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    warnings.simplefilter("ignore")  # decoders warn about harmless oddities of single files
    threading.Thread(target=_die_with_parent, daemon=True).start()
    try:
        target(*arguments)
    except MemoryError:
        os._exit(OUT_OF_MEMORY)  # as any other death: this process may be short of all things


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None  # only called in workers
    wait([parent.sentinel])
    os._exit(1)


def _serve(work: Work[Any, Any], pipe: Connection, position: Any) -> None:
    """Does the tasks that come through a pipe, until it closes."""

    def report(done: Any) -> None:
        pipe.send(_Report(done))

    def on_item(item: int) -> None:
        position.value = item

    position.value = _IDLE
    # Where the parent was killed, the pipe may break before its end is noticed otherwise.
    with contextlib.suppress(EOFError, ConnectionError):
        while True:
            task = pipe.recv()
            try:
                answer = work(task, report, on_item)
            except ShardfeedError as error:
                answer = error
            pipe.send(answer)
            position.value = _IDLE
