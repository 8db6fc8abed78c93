"""The place of an export: what it may replace, and how it appears whole or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from convert.command.signals import removed_by_signals
from convert.os_errors import failure
from convert.storage.local import PART, exchange, sync_folder, write_file
from train.errors import UsageError
from train.export.description import is_description

_REMEDY = "Name another --output, or replace it with --overwrite."


def check_place(path: str, about: str, description: str, *, overwrite: bool) -> bool:
    """Looks at what stands where an export shall be.

    Args:
        path: The export's file or folder.
        about: The file beside it.
        description: What that file shall hold.
        overwrite: Whether an older export may be replaced.

    Returns:
        Whether this very export may be there already.

    Raises:
        UsageError: Something else is there.
    """
    exists = os.path.lexists(path)
    is_export = os.path.isfile(path) or os.path.isfile(os.path.join(path, "saved_model.pb"))
    if exists and not is_export:
        raise UsageError(f"{path}: exists and is no export, so it is left alone. Name another "
                         "--output.")  # fmt: skip
    found = _read(about)
    if overwrite:
        if found is not None and not is_description(found):
            raise UsageError(
                f"{about}: exists and describes no export, so it is left alone. Name another "
                "--output."
            )
        return False
    if found is not None and found != description:
        raise UsageError(f"{about}: describes another network. {_REMEDY}")
    if exists and found is None:
        raise UsageError(f"{path}: exists, and no {os.path.basename(about)} beside it. {_REMEDY}")
    return exists


def _read(about: str) -> str | None:
    """Returns the text beside an export, if there is one."""
    try:
        return Path(about).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{about}: cannot be read. Name another --output.") from error


@contextlib.contextmanager
def workplace(path: str) -> Iterator[str]:
    """Makes a folder on the file system of an export's place; it is gone afterwards.

    Args:
        path: The place.

    Raises:
        TryAgainError: The disk is full or damaged.
    """
    parent = os.path.dirname(os.path.abspath(path))
    try:
        os.makedirs(parent, exist_ok=True)
        folder = tempfile.mkdtemp(prefix=PART, dir=parent)
    except OSError as error:
        raise failure(error, f"{parent}: cannot be written", "export again") from error
    try:
        with removed_by_signals(folder):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def put(part: str, path: str, about: str, description: str) -> None:
    """Gives a checked export its name, after it was described.

    Args:
        part: The finished file or folder, on the same file system.
        path: Its name. What stands there may be replaced.
        about: The file beside it.
        description: What that file shall hold.

    Raises:
        TryAgainError: The disk is full or damaged.
    """
    try:
        _sync(part)
        write_file(about, description)
        if os.path.isdir(path):
            exchange(part, path)  # the older one goes with the workplace
        else:
            os.replace(part, path)
        sync_folder(os.path.dirname(os.path.abspath(path)))
    except OSError as error:
        raise failure(error, f"{path}: cannot be written", "export again") from error


def _sync(part: str) -> None:
    """Makes a file, or all files of a folder, survive a power cut."""
    inside = [os.path.join(f, name) for f, _, names in os.walk(part) for name in names]
    for path in inside or [part]:
        with open(path, "rb") as file:
            os.fsync(file.fileno())


def size_of(path: str) -> int:
    """Returns the bytes of a file, or of all files of a folder."""
    inside = [os.path.join(f, name) for f, _, names in os.walk(path) for name in names]
    return sum(map(os.path.getsize, inside or [path]))
