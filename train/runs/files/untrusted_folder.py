"""Checks the kinds of a run's files: a folder from somebody else may contain anything."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator

from convert.storage.regular_files import file_kind, several_names
from train.errors import FormatError


def require_plain(path: str, shown: str, files: Collection[str], folders: Collection[str]) -> None:
    """Raises unless a run's own files are regular, and its folders are folders.

    Behind a link are somebody else's files, which a resume would write to, cut or delete.

    Args:
        path: The run's folder; it may itself be reached through a link.
        shown: What the user calls it.
        files: Names of its files.
        folders: Names of its folders; all that is in them belongs to the run.

    Raises:
        FormatError: Something else is there; names the first.
    """
    for name in files:
        _require(path, shown, name, "a regular file")
    for name in folders:
        _require(path, shown, name, "a folder")
        for inside in _inside(path, name):
            _require(path, shown, inside, "a regular file or a folder")


def require_own(path: str, shown: str, names: Collection[str]) -> None:
    """Raises unless files that are written in place have no other name.

    By a hard link they would be somebody else's files too, such as those of a backup.

    Args:
        path: The run's folder, of plain files.
        shown: What the user calls it.
        names: Of files, or of folders of files.

    Raises:
        FormatError: One has; names the first.
    """
    for name in names:
        _require_own(path, shown, name)
        if os.path.isdir(os.path.join(path, name)):
            for file in _inside(path, name):
                _require_own(path, shown, file)


def _require_own(path: str, shown: str, name: str) -> None:
    try:
        status = os.lstat(os.path.join(path, name))
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(status.st_mode) and (kind := several_names(status)):
        raise FormatError(
            f"{os.path.join(shown, name)}: {kind}, expected one of its own, since a resume "
            "changes it. Put a copy in its place."
        )


def _inside(path: str, folder: str) -> Iterator[str]:
    """Yields the names of all that is in a folder of the run, relative to the run."""
    try:
        with os.scandir(os.path.join(path, folder)) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except FileNotFoundError:
        return
    for entry in found:
        name = os.path.join(folder, entry.name)
        yield name
        if entry.is_dir(follow_symlinks=False):
            yield from _inside(path, name)


def _require(path: str, shown: str, name: str, expected: str) -> None:
    try:
        kind = file_kind(os.lstat(os.path.join(path, name))) or "a regular file"
    except (FileNotFoundError, NotADirectoryError):
        return
    if kind not in expected:
        raise FormatError(
            f"{os.path.join(shown, name)}: {kind}, expected {expected}. Copy what it stands for "
            "into its place, or train again."
        )
