"""Looks at what a verb leaves behind: what it said, files around it, processes, threads."""

import contextlib
import gc
import os
import re
import stat
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from convert.errors import ShardfeedError

PATIENCE = 60
LINKED = "around"
"""The folder that links lead to: a file in it may lose another name, which sets its ctime."""
_PROGRESS = re.compile(r"(\d\d:\d\d:\d\d )?(convert|train): (?!error: )")
# What TensorFlow says where one process loads one network after the other.
_RETRACED = re.compile(r"WARNING:tensorflow:\d+ out of the last \d+ calls to .*")

Snapshot = dict[str, tuple[object, ...]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """What came of a verb.

    Attributes:
        code: Its exit code.
        out: What it wrote to stdout.
        err: What it wrote to stderr.
    """

    code: int
    out: str
    err: str


def called(run: Callable[[], object]) -> Told:
    """Calls a verb; whatever any library prints is kept, too."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(1), os.dup(2)]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        os.dup2(out.fileno(), 1)
        os.dup2(err.fileno(), 2)
        try:
            code = _code_of(run)
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            for number, descriptor in enumerate(kept, 1):
                os.dup2(descriptor, number)
                os.close(descriptor)
        return Told(code=code, out=_text(out), err=_text(err))


def _code_of(run: Callable[[], object]) -> int:
    try:
        run()
    except SystemExit as ended:
        return int(ended.code or 0)
    except ShardfeedError as error:  # of a function that programs call
        print(f"train: error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _text(file: object) -> str:
    file.seek(0)
    return file.read().decode("utf-8")


def judge(told: Told, *, may_find: bool) -> str:
    """Returns `done` or `refused`.

    Args:
        told: What came of a verb.
        may_find: Whether it may end with 1 because of its result.

    Raises:
        AssertionError: It is neither a clean result nor one line.
    """
    lines = told.err.split("\n")
    assert lines.pop() == "", told.err
    lines = [line for line in lines if not _RETRACED.fullmatch(line)]
    errors = [line for line in lines if not _PROGRESS.match(line)]
    for line in (*lines, *re.split(r"\r?\n", told.out)):
        assert line.isprintable(), line[:2000]
    if told.code == 0 or (told.code == 1 and may_find and not errors):
        assert not errors, told.err
        return "done"
    assert told.code in (1, 2), told
    assert len(errors) == 1 and lines[-1] == errors[0], told.err
    assert re.match(r"(convert|train): error: \S.*[^ ]$", errors[0]), told.err
    assert len(errors[0]) < 2_000, errors[0][:4000]
    return "refused"


def snapshot(folder: Path) -> Snapshot:
    """Returns what would tell of a change to anything in a folder, or in the folders in it.

    Returns:
        Kind and rights of each; of a file inode, size, mtime, and ctime or digest; a link's target.
    """
    found: Snapshot = {}
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = os.path.join(parent, name)
            status = os.lstat(path)
            what: tuple[object, ...] = (stat.filemode(status.st_mode),)
            if stat.S_ISREG(status.st_mode):
                what += (status.st_ino, status.st_size)
                is_copy = path.endswith(f"{LINKED}/copy")  # a cache sets the mtime of what it has
                what += (None if is_copy else status.st_mtime_ns,)
                what += (_digest(path) if LINKED in parent else status.st_ctime_ns,)
            elif stat.S_ISLNK(status.st_mode):
                what += (os.readlink(path),)
            found[os.path.relpath(path, folder)] = what
    return found


def _digest(path: str) -> int:
    """Returns a file's digest; elsewhere the one time that nobody can set takes its place."""
    return zlib.crc32(Path(path).read_bytes())


def changes(before: Snapshot, after: Snapshot, may_change: tuple[str, ...]) -> list[str]:
    """Returns what is other than before, but for folders and files that a verb was told to write.

    Args:
        before: The snapshot of before.
        after: That of afterwards.
        may_change: Beginnings of paths.
    """
    return [
        f"{name}: {before.get(name)} became {after.get(name)}"
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name) and not name.startswith(may_change)
    ]


@contextlib.contextmanager
def nothing_left() -> Iterator[None]:
    """Raises `AssertionError` if processes, threads or open files are left by a block."""
    processes, threads = set(_children()), set(threading.enumerate())
    yield
    deadline = time.monotonic() + PATIENCE
    while True:
        gc.collect()
        left = [
            *({*_children()} - processes),
            *(
                thread.name
                for thread in {*threading.enumerate()} - threads
                if not _is_foreign(thread)
            ),
        ]
        if not left:
            return
        assert time.monotonic() < deadline, left
        time.sleep(0.02)


def _is_foreign(thread: threading.Thread) -> bool:
    """Tells whether Python did not make a thread: TensorFlow keeps some."""
    return thread.name.startswith("Dummy-")


def _children() -> Iterator[str]:
    """Yields the command lines of child processes, with their numbers."""
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):  # a thread that has ended
            for number in (task / "children").read_text().split():
                words = Path(f"/proc/{number}/cmdline").read_bytes().replace(b"\0", b" ").decode()
                if "resource_tracker" not in words:  # one for all of this process's life
                    yield f"{number} {words}"


def open_files(folder: Path) -> list[str]:
    """Returns the files of a folder that this process holds open or maps."""
    inside = f"{folder}/"
    found = [line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines()]
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            found.append(os.readlink(link))
    return [path for path in found if path.startswith(inside)]
