"""A run's log.txt."""

from __future__ import annotations

import time
from collections.abc import Callable

from convert.errors import printable
from convert.storage.regular_files import open_regular
from train.runs.folder import LOG, RunFolder


class RunLog:
    """Prints lines and adds them to log.txt.

    Args:
        run: The run.
        say: Prints a line.
    """

    def __init__(self, run: RunFolder, say: Callable[[str], None]) -> None:
        self._run, self._say, self._day = run, say, ""

    def __call__(self, line: str) -> None:
        """Prints a line, and adds it to log.txt."""
        self.write(line)
        self._say(line)

    def write(self, line: str) -> None:
        """Adds a line to log.txt after its time; a session's and a day's first after the date."""
        day, clock = time.strftime("%Y-%m-%d %H:%M:%S").split()
        when, self._day = clock if day == self._day else f"{day} {clock}", day
        with (
            self._run.writing(LOG),
            open(self._run.file(LOG), "a", encoding="utf-8", opener=open_regular) as file,
        ):
            file.write(f"{when} {printable(line)}\n")
