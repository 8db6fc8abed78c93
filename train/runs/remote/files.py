"""A run's files on HDFS, its checkpoints aside."""

from __future__ import annotations

import os
from collections.abc import Iterable
from uuid import uuid4

from convert.dataset.info import DATASET_JSON
from convert.storage.interface import FileSystem
from convert.storage.local import PART
from train.runs.folder import EVENTS, FILES, REPORT, RunFolder
from train.runs.new_folder import CONFIG, ENVIRONMENT, taken
from train.runs.remote.transfer import each, fetch, replace, send

_Stamp = tuple[int, int, int]


class RemoteFiles:
    """Makes a run's files on HDFS what they are on this machine, each in one step.

    Args:
        run: The run.
        files: What keeps its address.
    """

    def __init__(self, run: RunFolder, files: FileSystem) -> None:
        self._run, self._files = run, files
        self._there: dict[str, _Stamp | None] = {}  # what this machine's file was like then
        self._leftovers: list[str] = []

    def look(self) -> None:
        """Finds out which files there are."""
        names = _names(self._files, self._run.address)
        events = [f"{EVENTS}/{name}" for name in _names(self._files, self._run.shown(EVENTS))]
        self._leftovers = [name for name in (*names, *events) if PART in name]
        whole = [*(name for name in names if name in FILES), *events]
        self._there = dict.fromkeys(name for name in whole if PART not in name)

    @property
    def names(self) -> list[str]:
        """Names of the files that are there; those for TensorBoard as `events/NAME`."""
        return list(self._there)

    def fetch(self, names: Iterable[str]) -> None:
        """Copies those of some files that are there to this machine."""

        def copy(name: str) -> None:
            fetch(self._files, self._run.shown(name), self._run.file(name))
            self._there[name] = _stamp(self._run.file(name))

        each(copy, [name for name in names if name in self._there])

    def put_first(self) -> None:
        """Uploads what a checkpoint needs beside it, and what makes a new folder a run: last.

        Raises:
            UsageError: Another process has made a run of that name meanwhile.
        """
        self._put([DATASET_JSON, ENVIRONMENT, *self._events()])
        if CONFIG not in self._there:
            self._found()
        self._put([CONFIG])
        if not os.path.exists(self._run.file(REPORT)):
            self._remove([REPORT])  # of fewer epochs

    def put_rest(self) -> None:
        """Uploads all other files, the report last, and removes those that are gone."""
        self._put([name for name in FILES if name != REPORT])
        self._remove([name for name in self._there if not os.path.exists(self._run.file(name))])
        self._put([REPORT])
        for name in self._leftovers:  # of killed sessions
            self._files.remove(self._run.shown(name))
        self._leftovers = []

    def _events(self) -> list[str]:
        folder = self._run.file(EVENTS)
        names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
        return [f"{EVENTS}/{name}" for name in names]

    def _put(self, names: Iterable[str]) -> None:
        """Uploads those of some files that are not there yet as they are here."""
        stamps = {name: _stamp(self._run.file(name)) for name in names}
        changed = [
            name for name, stamp in stamps.items() if stamp and stamp != self._there.get(name)
        ]

        def put(name: str) -> None:
            replace(self._files, self._run.file(name), self._run.shown(name))
            self._there[name] = stamps[name]

        if any(name.startswith(EVENTS) for name in changed):
            self._files.make_folder(self._run.shown(EVENTS))
        each(put, changed)

    def _found(self) -> None:
        """Makes the folder a run, unless another process was first."""
        part = f"{self._run.shown(CONFIG)}{PART}{uuid4().hex}"
        stamp = _stamp(self._run.file(CONFIG))
        send(self._files, self._run.file(CONFIG), part)
        if not self._files.publish(part, self._run.shown(CONFIG)):
            raise taken(self._run.address, is_run=True)
        self._there[CONFIG] = stamp

    def _remove(self, names: Iterable[str]) -> None:
        for name in names:
            if name in self._there:
                self._files.remove(self._run.shown(name))
                del self._there[name]


def _names(files: FileSystem, address: str) -> list[str]:
    """Returns the names in a folder; none if there is no such folder."""
    try:
        return files.names(address)
    except FileNotFoundError:
        return []


def _stamp(path: str) -> _Stamp | None:
    """Identifies a file's version: inode, size and mtime; None if there is no file."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
