"""What the tests of faults share: conversions that can be stopped at any moment and run again."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convert_cases import COMMAND, PATIENCE, digests, draw_sources, without_plan

from convert.errors import PLAN_REASONS

Run = Callable[[Path, list[str]], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """A conversion that is stopped and run again.

    Attributes:
        words: The command line; it writes `out` in the current folder.
        base: Holds the sources, and `old` where a dataset stands there before.
        old: Digests of the dataset that stands there before. None: nothing does.
        new: Digests of the files that the conversion ends with.
    """

    words: list[str]
    base: Path
    old: dict[str, str] | None
    new: dict[str, str]

    def set_up(self, folder: Path) -> Path:
        """Makes a folder in which the conversion has not begun."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        if self.old is not None:
            shutil.copytree(self.base / "old", folder / "out")
        return folder

    def is_whole(self, folder: Path, *, may_vanish: bool = False) -> bool:
        """Returns whether the output is the old one or the new one, and no mixture.

        Args:
            folder: Where the conversion was stopped.
            may_vanish: Whether the old one may be gone before the new one is there.
        """
        if not (folder / "out").exists():
            return self.old is None or may_vanish
        return digests(folder / "out") in (self.old, self.new)

    def is_done(self, folder: Path) -> bool:
        """Returns whether the new dataset stands there, and nothing else."""
        return os.listdir(folder) == ["out"] and digests(folder / "out") == self.new


def make_scene(
    base: Path, kind: str, run: Run, *, rows: int = 12, rows_per_shard: int = 8
) -> Scene:
    """Prepares a conversion.

    Args:
        base: A new folder.
        kind: `plain`, `overwrite` or `retry`; then `raw` or `png`.
        run: Runs the command with some words in some folder, and sees to it that it succeeds.
        rows: Rows of the manifest.
        rows_per_shard: Rows of a shard of raw images.
    """
    what, encoding = kind.split()
    draw_sources(base, rows)
    size = ["--size", "12", "8", "--shard-bytes", str(369 * rows_per_shard)]
    words = [str(base / "m.csv"), "out", *size, "--encoding", encoding, "--max-bad-fraction", "0.5"]
    old, fresh = base / "before", base / "fresh"
    for folder in (old, fresh):
        folder.mkdir()
    run(fresh, words)
    if what == "overwrite":
        run(old, [*words, "--seed", "3"])
        words.append("--overwrite")
    elif what == "retry":
        (base / "i/3.png").rename(base / "3.png")
        run(old, words)
        (base / "3.png").rename(base / "i/3.png")
        words.append("--retry-quarantined")
    if what != "plain":
        (old / "out").rename(base / "old")
    return Scene(
        words=words,
        base=base,
        old=None if what == "plain" else digests(base / "old"),
        new=digests(fresh / "out"),
    )


def quarantine(dataset: Path) -> dict[str, tuple[str, str]]:
    """Returns path -> (reason, detail) of the rows that a dataset left out."""
    lines = (dataset / "quarantine.jsonl").read_text("utf-8").splitlines()
    entries = [json.loads(line) for line in lines]
    assert not any(entry["reason"] in PLAN_REASONS for entry in entries)
    return {entry["path"]: (entry["reason"], entry["detail"]) for entry in entries}


# Processes


MARK = "SHARDFEED_TEST"


def start(folder: Path, words: list[str], **options: Any) -> subprocess.Popen[str]:
    """Starts the command, its processes marked by the folder."""
    environment = {**options.pop("env", os.environ), MARK: str(folder)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([*COMMAND, *words], cwd=folder, env=environment, **pipes, **options)


def processes(folder: Path) -> list[int]:
    """Returns all processes of commands that `start` started there, orphans too."""
    mark, found = f"{MARK}={folder}".encode(), []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
        except OSError:  # it is another's, or has ended
            continue
    return found


def end_all(folder: Path) -> None:
    """Kills what a failed test has left running."""
    for pid in processes(folder):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def workers(process: subprocess.Popen[str]) -> list[int]:
    """Returns the worker processes of a running command."""
    try:
        tasks = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    except OSError:
        return []
    return [pid for pid in map(int, tasks) if b"--multiprocessing-fork" in words_of(pid)]


def words_of(pid: int) -> list[bytes]:
    """Returns the command line of a process; nothing if it is dead."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return []


def wait_for(condition: Callable[[], Any]) -> Any:
    """Waits until a condition holds; returns its value."""
    deadline = time.monotonic() + PATIENCE
    while not (value := condition()):
        assert time.monotonic() < deadline, "it never came about"
        time.sleep(0.01)
    return value


def end(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Waits for a command; returns its exit code and what it printed, less its plan."""
    out, err = process.communicate(timeout=PATIENCE)
    return process.returncode, out, without_plan(err)
