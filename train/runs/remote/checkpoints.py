"""A run's checkpoints on HDFS, where nobody holds a lock: what is newest says whose run it is."""

from __future__ import annotations

import os
import shutil
from uuid import uuid4

from convert.storage.interface import FileSystem
from convert.storage.places import read_text
from train.errors import OvertakenError
from train.runs.checkpoints.checkpoint import CHECKPOINT
from train.runs.checkpoints.store import PART, Checkpoints, checkpoint_names
from train.runs.remote.transfer import each, fetch, send


class RemoteCheckpoints:
    """The checkpoints of a run, as one session sees them.

    Only what was there when it began, and what it wrote itself, is ever deleted.

    Args:
        files: What keeps them.
        run: The run's address.
        address: Their folder.

    Attributes:
        newest: The whole one that this session went on from or wrote last, if any.
    """

    def __init__(self, files: FileSystem, run: str, address: str) -> None:
        self._files, self._run, self._address = files, run, address
        self.newest: str | None = None
        self._expected: str | None = None  # the newest, whole or not
        self._ours: set[str] = set()  # those that this session knows of
        self._damaged: list[str] = []
        self._leftovers: list[str] = []

    def look(self) -> None:
        """Finds out what there is."""
        names = self._names()
        found = checkpoint_names(names)
        self._ours = set(found)
        self.newest = self._expected = found[-1] if found else None
        self._leftovers = [name for name in names if name.startswith(PART)]

    def are_continued(self, local: Checkpoints) -> bool:
        """Returns whether this machine has the newest checkpoint, or one that followed upon it."""
        newest = local.newest(lambda name, problem: None)
        if self.newest is None or newest is None or self.newest not in local.names():
            return False
        ours = os.path.join(local.path, self.newest, CHECKPOINT)
        theirs = os.path.join(self._address, self.newest, CHECKPOINT)
        latest = checkpoint_names([self.newest, os.path.basename(newest.path)])[-1]
        return (
            os.path.basename(newest.path) == latest
            and self._files.exists(theirs)
            and read_text(ours) == self._files.read(theirs)
        )

    def fetch(self, local: Checkpoints) -> None:
        """Copies checkpoints to this machine, the newest first, until one is whole."""
        shutil.rmtree(local.path, ignore_errors=True)
        self.newest = None
        for name in checkpoint_names(self._ours)[::-1]:
            self._fetch(os.path.join(self._address, name), os.path.join(local.path, name))
            if local.newest(lambda name, problem: None) is not None:
                self.newest = name
                return
            self._damaged.append(name)

    def _fetch(self, source: str, target: str) -> None:
        os.makedirs(target)  # though it is empty, it is a checkpoint
        each(
            lambda file: fetch(self._files, os.path.join(source, file), os.path.join(target, file)),
            self._files.names(source),
        )

    def require_ours(self) -> None:
        """Raises unless the newest checkpoint is the one that this session knows.

        Raises:
            OvertakenError: Another session has written one.
        """
        found = checkpoint_names(self._names())
        newest = found[-1] if found else None
        if newest != self._expected:
            raise OvertakenError(
                f"{self._run}: its newest checkpoint is {newest or 'gone'}, expected "
                f"{self._expected or 'none'}: another process trains this run, and this one stops. "
                f"Once the other has ended, go on with `train resume {self._run}`."
            )

    def put(self, path: str) -> None:
        """Uploads a checkpoint, which becomes the newest.

        Args:
            path: Its folder on this machine.

        Raises:
            OvertakenError: Another session was first.
            OSError: It cannot be written.
        """
        for damaged in self._damaged:  # they may have its name
            self._remove(damaged)
            self._expected = self.newest
        self._damaged = []
        name = os.path.basename(path)
        part = os.path.join(self._address, f"{PART}{name}-{uuid4().hex}")
        try:
            self._files.make_folder(part)
            each(
                lambda file: send(self._files, os.path.join(path, file), os.path.join(part, file)),
                sorted(os.listdir(path)),
            )
            self._files.move(part, os.path.join(self._address, name))
        except FileExistsError:
            self._files.remove_tree(part)
            self.require_ours()
            raise
        except OSError:
            self._files.remove_tree(part)  # it may be what fills the disks
            raise
        self.newest = self._expected = name
        self._ours.add(name)
        self.require_ours()

    def prune(self, keep: int) -> None:
        """Deletes checkpoints that are too old, and what killed sessions left behind.

        Args:
            keep: Newest ones that stay. At least 1.
        """
        for name in checkpoint_names(self._ours)[:-keep]:
            self._remove(name)
        for name in self._leftovers:
            self._files.remove_tree(os.path.join(self._address, name))
        self._leftovers = []

    def _remove(self, name: str) -> None:
        """Deletes a checkpoint; the NameNode does that in one step."""
        self._files.remove_tree(os.path.join(self._address, name))
        self._ours.discard(name)

    def _names(self) -> list[str]:
        try:
            return self._files.names(self._address)
        except FileNotFoundError:
            return []
