"""Threads whose work may be given up: one that hangs neither holds up others nor the exit."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, TypeVar

Result = TypeVar("Result")
Task = tuple[Callable[[], Any], "Future[Any]"]


class Threads:
    """As many threads as there is work at once; idle ones wait for more.

    The pools of `concurrent.futures` wait at the process's end for threads that hang.

    Args:
        name: Of the threads.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._tasks: SimpleQueue[Task] = SimpleQueue()
        self._num_idle = 0
        self._lock = threading.Lock()

    def start(self, work: Callable[[], Result]) -> Future[Result]:
        """Begins some work; returns its result to be."""
        future: Future[Result] = Future()
        with self._lock:
            is_one_idle = self._num_idle > 0
            self._num_idle -= is_one_idle
        if is_one_idle:
            self._tasks.put((work, future))
        else:
            first = (work, future)
            threading.Thread(
                target=self._serve, args=(first,), name=self._name, daemon=True
            ).start()
        return future

    def _serve(self, task: Task) -> None:
        while True:
            _run(*task)
            del task  # its result may be large
            with self._lock:
                self._num_idle += 1
            task = self._tasks.get()


def _run(work: Callable[[], Any], future: Future[Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(work())
    except BaseException as error:
        future.set_exception(error)
