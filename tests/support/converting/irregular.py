"""What may stand in the place of a file: everything but a regular file."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

LARGE = 1 << 40  # a terabyte that takes no room on the disk


def _link(path: Path) -> None:
    """Puts a link to the very file in its place: only the link is wrong."""
    target = path.with_name(f"moved-{path.name}")
    path.rename(target)
    path.symlink_to(target.name)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _socket(path: Path) -> None:
    path.unlink()
    here = os.getcwd()
    os.chdir(path.parent)  # a socket's path must be short
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(here)


def _device(path: Path) -> None:
    path.unlink()
    os.mknod(path, 0o20666, os.makedev(1, 5))  # /dev/zero: it never ends


def _sparse(path: Path) -> None:
    path.write_bytes(b"")
    os.truncate(path, LARGE)


KINDS: dict[str, Callable[[Path], None]] = {
    "link": _link,
    "folder": _folder,
    "pipe": _pipe,
    "socket": _socket,
    **({"device": _device} if os.geteuid() == 0 else {}),
}
"""Name -> puts it in a file's place."""

FOREIGN = {**KINDS, "sparse": _sparse}
"""The same with a file of a terabyte."""
