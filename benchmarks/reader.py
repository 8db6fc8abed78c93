"""A competitor of `read.py`: a process of its own that waits between its passes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks.read_competitors import Competitor
from benchmarks.readers.images import Task
from benchmarks.readers.session import Memory, memory

ROOT = Path(__file__).resolve().parent.parent
END_SECONDS = 20  # workers that have not ended by then are killed
SAMPLE_SECONDS = 0.2  # between two looks at the memory, in a pass that is not timed
ANSWER = '{"'  # how an answer starts; other lines are chatter of the libraries


class ReaderError(Exception):
    """A reader ended; the message is the last line on its stderr."""


class Reader:
    """A competitor's process.

    Attributes:
        settings: Those that it chose.
        trials: Images per second with each of the settings that it tried; empty if there was no
            choice.
    """

    def __init__(self, competitor: Competitor, place: Task, logs: Path, *settings: str) -> None:
        """Starts it, and waits until its dataset is made and its settings are chosen.

        Args:
            competitor: What it is.
            place: Its task, but for the last part of the folder.
            logs: Folder for what it prints.
            settings: The settings to take. None: the fastest.

        Raises:
            ReaderError: It failed.
        """
        self._log = logs / f"{competitor.module}.txt"
        self._folder = place.folder / competitor.dataset
        arguments = [str(self._folder), str(place.num_records), str(place.batch_size), *settings]
        with open(self._log, "wb") as stderr:
            self._process = subprocess.Popen(
                [competitor.python, "-m", f"benchmarks.readers.{competitor.module}", *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                cwd=ROOT,
                env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
                text=True,
                start_new_session=True,
            )
        answer = self._answer()
        self.settings: str = answer["settings"]
        self.trials: dict[str, float] = answer["trials"]

    def ask(self, what: str) -> dict[str, Any]:
        """Lets it go through its data once.

        Raises:
            ReaderError: It failed.
        """
        assert self._process.stdin
        self._process.stdin.write(f"{what}\n")
        self._process.stdin.flush()
        return self._answer()

    def watch(self, what: str) -> tuple[dict[str, Any], Memory]:
        """Lets it go through its data once, and looks at its memory meanwhile.

        Returns:
            Its answer, and the most memory that was seen.
        """
        seen, ended = [], threading.Event()

        def look() -> None:
            while not ended.wait(SAMPLE_SECONDS):
                seen.append(memory(self._process.pid, self._folder))

        thread = threading.Thread(target=look)
        thread.start()
        try:
            answer = self.ask(what)
        finally:
            ended.set()
            thread.join()
        seen.append(memory(self._process.pid, self._folder))  # passes of few records end at once
        return answer, max(seen, key=lambda one: one.total)

    def close(self) -> None:
        """Ends it and all its workers."""
        assert self._process.stdin
        self._process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(END_SECONDS)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _answer(self) -> dict[str, Any]:
        """Waits for an answer."""
        assert self._process.stdout
        for line in self._process.stdout:
            if line.startswith(ANSWER):
                answer: dict[str, Any] = json.loads(line)
                return answer
        text = self._log.read_text(encoding="utf-8", errors="replace").strip()
        raise ReaderError(text.split("\n")[-1] or "no message")
