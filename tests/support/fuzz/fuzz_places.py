"""Puts something else in a file's or a folder's place: a link, a pipe, a file without an end."""

import os
import resource
import shutil
import socket
import stat
from pathlib import Path

from fuzz_damage import CHANGES, Random
from fuzz_json import damage_json
from fuzz_texts import damage_text

_TERABYTE = 1 << 40
_ODD_NAMES = (
    "\x1b[2Jx",
    "a\nb",
    "..x",
    ".part-x",
    "epoch-9999-step-00000000",
    "\udcff\udcfe",
    "長",
)

FILE_KINDS = (
    *("link to a file", "link to a copy", "link to a folder", "dangling link", "link to itself"),
    *("pipe", "socket", "device", "empty folder", "folder", "sparse file", "empty file", "missing"),
    *("unreadable file", "hard link", "odd neighbour", "old file"),
)
FOLDER_KINDS = (
    *("link to a file", "link to a copy", "link to a folder", "dangling link", "link to itself"),
    *("pipe", "socket", "device", "empty folder", "folder", "sparse file", "empty file", "missing"),
    *("unreadable file", "odd neighbour"),
)
OUTPUT_KINDS = (
    *("dangling link", "link to itself", "pipe", "socket", "device", "empty folder", "folder"),
    *("sparse file", "empty file"),
)
"""Of files; of folders; and of places that a user names to be written at."""


def damage_place(path: Path, around: Path, random: Random) -> str:
    """Damages what stands at a path, or puts something there; returns what was done.

    Args:
        path: A file, a folder, or nothing.
        around: A folder for what links lead to; it holds `victim.txt` and the folder `folder`.
        random: Chooses.
    """
    is_file = path.is_file()
    if is_file and random.random() < 0.6:
        return _damage_content(path, random)
    kinds = FILE_KINDS if is_file else FOLDER_KINDS
    kind = kinds[random.integers(len(kinds))]
    put(path, kind, around, random)
    return kind


def _damage_content(path: Path, random: Random) -> str:
    data = path.read_bytes()
    if path.suffix in (".json", ".jsonl") and random.random() < 0.8:
        path.write_bytes(damage_json(data, random))
        return "JSON"
    if path.suffix in (".csv", ".txt", ".idx", "") and random.random() < 0.5:
        path.write_bytes(damage_text(data, random))
        return "text"
    for _ in range(random.integers(1, 4)):
        if data:
            data = CHANGES[random.integers(len(CHANGES))](data, random)
    path.write_bytes(data if random.random() < 0.9 else data + random.bytes(3000))
    return "bytes"


def put(path: Path, kind: str, around: Path, random: Random) -> None:
    """Puts something of a kind in the place of what is there.

    Args:
        path: The place.
        kind: One of `FILE_KINDS` or `FOLDER_KINDS`.
        around: See `damage_place`.
        random: Chooses.
    """
    if kind == "odd neighbour":
        name = _ODD_NAMES[random.integers(len(_ODD_NAMES))]
        _copy(path, path.with_name(name))
        return
    if kind == "old file" and path.exists():
        os.utime(path, (0, 0))
        return
    if kind == "unreadable file" and path.exists():
        path.chmod(0)
        return
    copy = around / "copy"
    _copy(path, copy)
    if kind == "sparse file" and path.is_file():
        _stretch(path)
        return
    _remove(path)
    links = {
        "link to a file": around / "victim.txt",
        "link to a copy": copy,
        "link to a folder": around / "folder",
        "dangling link": around / "nothing",
        "link to itself": path,
    }
    if kind in links:
        path.symlink_to(links[kind])
    elif kind == "hard link" and copy.is_file():
        os.link(copy, path)
    else:
        _make(path, kind)


def _make(path: Path, kind: str) -> None:
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        where = os.open(path.parent, os.O_RDONLY)  # a socket's own path has at most 107 bytes
        try:
            with socket.socket(socket.AF_UNIX) as made:
                made.bind(f"/proc/self/fd/{where}/{path.name}")
        finally:
            os.close(where)
    elif kind == "device":
        try:
            os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5))  # zeros without an end
        except PermissionError:
            path.symlink_to("/dev/zero")
    elif kind in ("folder", "empty folder"):
        path.mkdir()
        if kind == "folder":
            (path / "inside.txt").write_text("inside")
    elif kind == "sparse file":
        path.touch()
        _stretch(path)
    elif kind in ("empty file", "unreadable file"):
        path.touch(0 if kind == "unreadable file" else 0o644)


def _stretch(path: Path) -> None:
    """Gives a file a terabyte of nothing, which the limit of written files would not allow."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    try:
        os.truncate(path, _TERABYTE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def _copy(path: Path, to: Path) -> None:
    _remove(to)
    if path.is_dir():
        shutil.copytree(path, to, symlinks=True, ignore=_uncopied)
    elif path.is_file():
        path.chmod(0o644)
        shutil.copy2(path, to)
    else:
        to.touch()


def _uncopied(folder: str, names: list[str]) -> list[str]:
    """Returns what is not copied: pipes and the like, and files of a terabyte."""
    found = []
    for name in names:
        status = os.lstat(os.path.join(folder, name))
        is_usual = any(is_kind(status.st_mode) for is_kind in (stat.S_ISREG, stat.S_ISDIR))
        if not (is_usual or stat.S_ISLNK(status.st_mode)) or status.st_size >= _TERABYTE:
            found.append(name)
    return found


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
