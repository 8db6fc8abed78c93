"""Ends the process on SIGTERM and Ctrl-C, from within the signal's handler.

A handler runs between two instructions of whatever code is at work. An exception that it raises is
dropped there as often as not: by a `__del__`, a garbage collector's callback or a bare `except`;
work goes on, and SIGKILL follows. So nothing here raises: what must be undone is registered when
it is done, and the handler undoes it and ends the process.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import signal
import threading
from collections.abc import Callable, Collection, Iterator
from types import FrameType

_undo: list[Callable[[], object]] = []


@contextlib.contextmanager
def undone_by_signals(undo: Callable[[], object]) -> Iterator[None]:
    """Registers what a signal has to undo, inside a `with` block.

    Args:
        undo: Called by the handler only. It may interrupt any code of the main thread, so it
            takes no lock; its own errors are dropped.
    """
    _undo.append(undo)
    try:
        yield
    finally:
        _undo.remove(undo)


def removed_by_signals(folder: str) -> contextlib.AbstractContextManager[None]:
    """Has a folder deleted, with all that is in it, if a signal ends the process meanwhile."""
    return undone_by_signals(lambda: shutil.rmtree(folder, ignore_errors=True))


@contextlib.contextmanager
def ended_by_signals(line: str, told: Collection[int]) -> Iterator[None]:
    """Lets SIGTERM and Ctrl-C end the process with 128 and their number, as shells report it.

    SIGTERM does so also after the `with` block, until the exit code stands; see `_ignore_signals`.
    A Ctrl-C that the process ignores, as jobs in the background do, stays ignored.

    Args:
        line: What is printed then.
        told: The signals for which it is.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # Python allows handlers nowhere else
        return

    def end(number: int, frame: FrameType | None) -> None:
        for undo in reversed(_undo):
            with contextlib.suppress(Exception):
                undo()
        if number in told:
            with contextlib.suppress(OSError):
                os.write(2, f"{line}\n".encode())
        os._exit(128 + number)

    atexit.unregister(_ignore_signals)
    atexit.register(_ignore_signals)
    signal.signal(signal.SIGTERM, end)
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:
        signal.signal(signal.SIGINT, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _ignore_signals() -> None:
    """Lets a signal change nothing any more, as the last of what Python calls at its exit.

    All is done and told then. Python takes its handlers away before it frees its modules, which
    takes a while after TensorFlow: a signal in that time would make a failure of what succeeded.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
