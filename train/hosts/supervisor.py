"""The parent of a process that trains with others: it has no Keras, and outlives JAX's aborts.

Where a process of a team goes, JAX ends the others from C++ with SIGABRT, which Python cannot
catch. So each is the child of a process that passes signals on, and tells how to go on.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any, NoReturn, Self

from train.hosts.place import Place

MEMBER = "SHARDFEED_MEMBER"
"""Set for the child: the descriptor by which it tells its exit code."""

END_SECONDS = 20.0
"""What a child may take to end after it has told its exit code: it waits for others meanwhile."""

_LOOK_SECONDS = 0.5  # from one look at signals to the next

_PASSED_ON = {
    signal.SIGTERM: signal.SIGTERM,
    signal.SIGINT: signal.SIGINT,
    signal.SIGHUP: signal.SIGTERM,  # a closed terminal: training stops with a checkpoint
}
_GONE = {
    signal.SIGABRT: "another process of the team is gone",
    signal.SIGKILL: "killed, often for lack of memory",
}
_SET_PDEATHSIG = 1  # of prctl(2)


def supervise(command: Sequence[str], place: Place, resume: str) -> int:
    """Starts a program as a process of a team and waits for its end.

    Args:
        command: The program and its words.
        place: Which process of the team it is.
        resume: A command that goes on with the run.

    Returns:
        The exit code that the child has told; else that of its end, 75 where that was SIGABRT or
        SIGKILL, and 128 and the number of any other signal.
    """
    told, to_tell = os.pipe()
    with _Signals() as signals, open(told, "rb") as reader:
        child = subprocess.Popen(
            command,
            env={**os.environ, MEMBER: str(to_tell)},
            pass_fds=[to_tell],
            start_new_session=True,  # a terminal's Ctrl-C comes once: from here
            preexec_fn=end_with_parent(),
        )
        os.close(to_tell)
        signals.started(child)
        # A read alone would not see a signal that came just before it: handlers run in Python.
        while not select.select([reader], [], [], _LOOK_SECONDS)[0]:
            pass
        code = reader.read(1)
        try:
            ended = child.wait(END_SECONDS if code else None)
        except subprocess.TimeoutExpired:
            child.kill()
            ended = child.wait()
    return code[0] if code else _judged(ended, place, resume)


def this_command() -> list[str]:
    """Returns the command line of this process."""
    return [sys.executable, *sys.orig_argv[1:]]


def is_member() -> bool:
    """Returns whether this process is the child of a supervisor."""
    return MEMBER in os.environ


def end_as_member(work: Callable[[], int]) -> NoReturn:
    """Works as the child of a supervisor, and ends without what JAX does at the interpreter's exit.

    There it waits for other processes, minutes if they are gone. The parent is told the exit code
    first, for JAX ends this process where the first one of the team leaves sooner.

    Args:
        work: Returns the exit code.
    """
    to_tell = int(os.environ[MEMBER])
    os.set_inheritable(to_tell, False)
    _keep_stdout()
    try:
        code = work()
    except SystemExit as wrong:  # of the command line
        code = wrong.code if isinstance(wrong.code, int) else 1
    except BaseException:
        traceback.print_exc()
        code = 1
    with contextlib.suppress(OSError):  # the parent has gone
        os.write(to_tell, bytes([code]))
    sys.stdout.flush()
    os._exit(code)


def end_with_parent() -> Callable[[], None]:
    """Returns what a child of this thread does first: it has its parent's end told by SIGTERM."""
    parent, libc = os.getpid(), ctypes.CDLL(None)

    def prepare() -> None:
        libc.prctl(_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(os.EX_TEMPFAIL)

    return prepare


def _keep_stdout() -> None:
    """Keeps stdout for results: JAX's Gloo prints there from C++ that it is connected."""
    sys.stdout = open(os.dup(1), "w", encoding=sys.stdout.encoding)  # noqa: SIM115
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)


def _judged(ended: int, place: Place, resume: str) -> int:
    """Returns the exit code for a child's end, and says how to go on where another try helps."""
    number = -ended if ended < 0 else ended - 128
    if number in _GONE:
        print(
            f"train: error: rank {place.rank}: ended by {signal.Signals(number).name}: "
            f"{_GONE[signal.Signals(number)]}. Go on from the last checkpoint: `{resume}`.",
            file=sys.stderr,
        )
        return os.EX_TEMPFAIL
    return 128 - ended if ended < 0 else ended


class _Signals:
    """Passes signals on to a child, inside a `with` block; also those from before it started."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._received: list[int] = []
        self._earlier: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in _PASSED_ON:
            handler = signal.getsignal(number)
            if handler is not signal.SIG_IGN:  # as Ctrl-C of jobs in the background, or of nohup
                self._earlier[number] = handler
                signal.signal(number, self._pass_on)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._earlier.items():
            signal.signal(number, handler)

    def started(self, child: subprocess.Popen[bytes]) -> None:
        """Names the child."""
        self._child = child
        for number in self._received:
            child.send_signal(number)

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        self._received.append(_PASSED_ON[signal.Signals(number)])
        if self._child is not None:
            self._child.send_signal(self._received[-1])
