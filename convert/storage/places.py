"""Where files are kept: a local path, or an `hdfs://` address."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from typing import Any

from convert.storage.hdfs.address import SCHEME, split_address
from convert.storage.hdfs.connections import HdfsConnections
from convert.storage.interface import FileSystem
from convert.storage.lines import MOST_BYTES, lines_of, require_at_most, sha256_of
from convert.storage.local import LocalFileSystem

_LOCAL = LocalFileSystem()
_HDFS = HdfsConnections()


def is_remote(path: str) -> bool:
    """Returns whether a path is an address of HDFS."""
    return path.startswith(SCHEME)


def filesystem_of(path: str) -> FileSystem:
    """Returns the file system of a path; each process has one object for each HDFS.

    Raises:
        UsageError: It is an address of HDFS, and hdfs-native is not installed or not told where,
            or was used before this process was forked.
    """
    return _HDFS.filesystem_of(path) if is_remote(path) else _LOCAL


def use_settings(settings: Iterable[tuple[str, str]]) -> None:
    """Gives Hadoop's settings to this process; see `HdfsConnections.use_settings`."""
    _HDFS.use_settings(settings)


def absolute(path: str) -> str:
    """Returns a path that means the same everywhere on this machine, without a slash at its end."""
    if not is_remote(path):
        return os.path.abspath(path)
    authority, name = split_address(path)
    return f"{SCHEME}{authority}{name}"


def real_place(path: str) -> str:
    """Returns the path that is replaced when something is written under a name.

    Decides for all outputs what a link means: what it points at is replaced there, on its own
    disk, and the link stays. A link that leads nowhere is returned as it is, and refused by
    whoever looks at what stands there.

    Args:
        path: An output as the user named it.
    """
    if is_remote(path):
        return path
    whole = os.path.abspath(path)
    # After a link, `..` is the parent of the link's target for the kernel, which opens files.
    is_led = os.path.islink(whole) or os.pardir in path.split("/")
    real = os.path.realpath(path) if is_led else path
    return real if os.path.exists(real) or not os.path.islink(whole) else path


def join(folder: str, path: str) -> str:
    """Returns the place of a path that starts from a folder, unless it is whole by itself."""
    return path if is_remote(path) else os.path.join(folder, path)


def sha256_file(path: str) -> str:
    """Returns a file's digest in hexadecimal, wherever it is kept.

    Raises:
        OSError: It cannot be read.
    """
    return sha256_of(filesystem_of(path).stream(path))


def read_text(path: str, most_bytes: int = MOST_BYTES) -> bytes:
    """Returns a whole file, wherever it is kept, unless it is too large to be what it should be.

    Raises:
        OSError: It cannot be read, or has more bytes.
    """
    files = filesystem_of(path)
    status = files.status(path)
    if status is not None:
        require_at_most(status.size, most_bytes, path)
    return files.read(path)


def read_lines(path: str) -> Iterator[bytes]:
    """Yields a file's lines, each with its end, wherever it is kept; only a part is in memory.

    Raises:
        OSError: It cannot be read.
    """
    return lines_of(filesystem_of(path).stream(path), path)


def write_json(path: str, value: Any) -> None:
    """Writes a JSON file that is there whole or not at all, replacing an older one."""
    text = json.dumps(value, ensure_ascii=False, indent=1) + "\n"
    filesystem_of(path).replace(path, text.encode())
