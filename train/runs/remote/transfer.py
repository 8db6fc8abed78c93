"""Copying files between a disk of this machine and HDFS."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

from convert.errors import TryAgainError
from convert.storage.hdfs.error_translation import PassingError
from convert.storage.interface import PIECE_BYTES, FileSystem
from convert.storage.places import filesystem_of
from convert.storage.regular_files import open_regular

# What was begun to be written cannot be tried again by the file system, only from its start: for
# two minutes, in which a DataNode restarts.
_PAUSES = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)
_IN_FLIGHT = 8  # creating a file of HDFS takes 0.4 s, nearly all of it waiting


def send(files: FileSystem, path: str, address: str) -> None:
    """Copies a file to where nobody looks for it yet.

    Raises:
        OSError: It could not be read or written.
        TryAgainError: HDFS fails for a passing reason.
    """

    def copy() -> None:
        files.remove(address)  # what an earlier try left
        with open(path, "rb", opener=open_regular) as source, files.create(address) as target:
            while piece := source.read(PIECE_BYTES):
                target.write(piece)

    _patiently(address, copy)


def replace(files: FileSystem, path: str, address: str) -> None:
    """Copies a file so that it is there whole or not at all, in an older one's place.

    Raises:
        OSError: It could not be read or written.
        TryAgainError: HDFS fails for a passing reason.
    """
    content = filesystem_of(path).read(path)
    _patiently(address, lambda: files.replace(address, content))


def fetch(files: FileSystem, address: str, path: str) -> None:
    """Copies a file to this machine; there is none afterwards if it is missing.

    Raises:
        OSError: It could not be read or written.
        TryAgainError: HDFS fails for a passing reason.
    """
    os.makedirs(os.path.dirname(path), exist_ok=True)
    try:
        with open(path, "wb", opener=open_regular) as target:
            for piece in files.stream(address):
                target.write(piece)
    except FileNotFoundError:
        os.unlink(path)


def each(act: Callable[[str], None], names: Iterable[str]) -> None:
    """Calls a function with each of some names, several at once."""
    with ThreadPoolExecutor(_IN_FLIGHT) as pool:
        for _ in pool.map(act, names):
            pass


def _patiently(address: str, act: Callable[[], None]) -> None:
    """Does something again and again while it fails for a reason that may pass."""
    for pause in _PAUSES:
        try:
            return act()
        except PassingError as error:
            failure = error
        time.sleep(pause)
    raise TryAgainError(f"{address}: HDFS fails: {failure.strerror}.") from failure
