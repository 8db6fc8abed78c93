"""The standard streams where cron or a daemon has closed them, or the disk behind them is full.

stderr is a voice: without it, work goes on. stdout carries results: one that cannot be written
there is an error.
"""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, NoReturn

from convert.errors import printable
from convert.os_errors import failure

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

# Each of the wrong direction but the last, so that using a closed stream fails as it should.
_IN_PLACE_OF_CLOSED = ((0, os.O_WRONLY), (1, os.O_RDONLY), (2, os.O_WRONLY))


def open_streams() -> None:
    """Occupies closed streams, and makes stderr a stream that never fails.

    The next file that is opened would get the number of a closed stream, and whatever any library
    prints would be written into it.
    """
    for number, flags in _IN_PLACE_OF_CLOSED:
        if not _is_open(number):
            opened = os.open(os.devnull, flags)
            os.dup2(opened, number)  # even onto itself: child processes inherit it then
            os.set_inheritable(number, True)
            if opened != number:
                os.close(opened)
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stderr is sys.__stderr__:  # nobody has put another in its place
        sys.stderr = _voice()


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


class _Voice(io.FileIO):
    """Writes to a descriptor, and drops what it does not take."""

    def write(self, content: ReadableBuffer, /) -> int:
        """Writes some bytes; returns how many of them are dealt with."""
        try:
            written = super().write(content)
        except OSError:
            written = None
        return memoryview(content).nbytes if written is None else written


def _voice() -> io.TextIOWrapper:
    """Returns a stderr that never fails."""
    encoding = sys.stderr.encoding if sys.stderr is not None else "utf-8"
    return io.TextIOWrapper(
        io.BufferedWriter(_Voice(2, "w", closefd=False)),
        encoding=encoding,
        errors="backslashreplace",
        line_buffering=True,
    )


class Result:
    """Writes a result to stdout."""

    def write(self, text: str) -> int:
        """Writes text; see `flush`."""
        try:
            return sys.stdout.write(text)
        except BrokenPipeError:
            raise
        except OSError as error:
            self._give_up(error)

    def flush(self) -> None:
        """Makes sure that whoever reads has all of it.

        Raises:
            TryAgainError: The disk is full.
            UsageError: stdout is closed.
            BrokenPipeError: Whoever read it has gone.
        """
        try:
            sys.stdout.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> NoReturn:
        drop_stdout()
        raise failure(error, "stdout: cannot be written", "run the same command again") from error


def say(line: str) -> None:
    """Prints a line of `convert` for people; see `say_as`."""
    say_as("convert", line)


def say_as(program: str, line: str) -> None:
    """Prints a line of a command for people to stderr; off a terminal the time stands before it."""
    clock = "" if sys.stderr.isatty() else time.strftime("%H:%M:%S ")
    print(f"{clock}{program}: {printable(line)}", file=sys.stderr, flush=True)


def print_result(text: str, end: str = "\n") -> None:
    """Prints a result to stdout at once; see `Result.flush` for what it raises."""
    result = Result()
    result.write(text + end)
    result.flush()


def drop_stdout() -> None:
    """Drops what stdout still holds, so that the interpreter does not fail with it at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def stdin_lines() -> Iterator[str]:
    """Yields the lines of stdin.

    Raises:
        UsageError: It is closed.
        TryAgainError: The disk behind it fails.
    """
    try:
        yield from sys.stdin
    except OSError as error:
        again = "run the same command again"
        raise failure(error, "stdin: cannot be read", again) from error
