"""Runs a command in a process of its own and measures all that it takes."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

SAMPLE_SECONDS = 0.1  # short enough to catch the plateau of every run
SAMPLE_SHARE = 20  # pauses are 20 times the sample before: 10 ms for each process with TensorFlow


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """What a command took, with all processes that it started.

    Attributes:
        wall: Seconds from start to end.
        cpu: Seconds of CPU time.
        memory: Most bytes that its processes held together, shared pages counted once; 0 where
            the kernel does not tell.
        largest: Most bytes that a single process held.
        last_line: The last line on its stdout.
    """

    wall: float
    cpu: float
    memory: int
    largest: int
    last_line: str


class CommandError(Exception):
    """A command failed; the message is the last line on its stderr."""


def run(command: list[str], folder: Path, environment: dict[str, str], logs: Path) -> Run:
    """Runs a command.

    Args:
        command: Program and arguments.
        folder: Folder to run it in.
        environment: Its environment variables.
        logs: Folder for what it prints.

    Raises:
        CommandError: It failed.
    """
    out, err = logs / "stdout.txt", logs / "stderr.txt"
    started = time.perf_counter()
    with open(out, "wb") as stdout, open(err, "wb") as stderr:
        process = subprocess.Popen(
            command,
            stdout=stdout,
            stderr=stderr,
            cwd=folder,
            env=environment,
            start_new_session=True,
        )
    with _Memory(process.pid) as memory:
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except KeyboardInterrupt:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise CommandError(_last_line(err) or f"exit code {process.returncode}")
    return Run(
        wall=wall,
        cpu=usage.ru_utime + usage.ru_stime,
        memory=memory.peak,
        largest=usage.ru_maxrss * 1024,
        last_line=_last_line(out),
    )


def _last_line(path: Path) -> str:
    """Returns the last line of a file that is not blank; empty if there is none."""
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


class _Memory(threading.Thread):
    """Watches the memory of a session's processes, and takes at most a twentieth of a core.

    Attributes:
        peak: Most bytes seen.
    """

    def __init__(self, session: int) -> None:
        super().__init__(daemon=True)
        self.peak = 0
        self._session = session
        self._ended = threading.Event()

    def __enter__(self) -> _Memory:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.join()

    def run(self) -> None:
        pause = SAMPLE_SECONDS
        while not self._ended.wait(pause):
            started = time.perf_counter()
            self.peak = max(self.peak, _session_bytes(self._session))
            pause = max(SAMPLE_SECONDS, SAMPLE_SHARE * (time.perf_counter() - started))


def _session_bytes(session: int) -> int:
    """Returns the bytes that a session's processes hold together."""
    if not os.path.isdir("/proc"):
        return 0
    return sum(_bytes(int(name), session) for name in os.listdir("/proc") if name.isdigit())


def _bytes(process: int, session: int) -> int:
    """Returns a process's bytes, its share of those that others map too; 0 if it is no member."""
    try:
        if os.getsid(process) != session:
            return 0
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:  # it has ended meanwhile
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
