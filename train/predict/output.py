"""Where predictions go: stdout line by line, or a file that is there whole or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from convert.local import PART, sync_folder
from convert.os_errors import failure
from convert.signals import undone_by_signals
from convert.streams import Result


class Output(Protocol):
    """Takes text."""

    def write(self, text: str, /) -> int: ...  # noqa: D102

    def flush(self) -> None: ...  # noqa: D102


@contextlib.contextmanager
def open_output(path: str | None) -> Iterator[Output]:
    """Opens a place for text; leaving by an exception leaves no file.

    Args:
        path: The file, which may exist. None: stdout.

    Raises:
        TryAgainError: It cannot be written now.
        ShardfeedError: It cannot be written for a reason that stays.
    """
    if path is None:
        yield Result()
        return
    part = f"{path}{PART}{os.getpid()}"
    try:
        # File names need not be text: what is no UTF-8 is written as \udcXX.
        with (
            undone_by_signals(lambda: os.unlink(part)),
            open(part, "w", encoding="utf-8", errors="backslashreplace", newline="") as file,
        ):
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
        sync_folder(os.path.dirname(path) or ".")
    except OSError as error:
        again = "run the same command again"
        raise failure(error, f"{path}: cannot be written", again) from error
    finally:
        with contextlib.suppress(OSError):
            Path(part).unlink(missing_ok=True)
