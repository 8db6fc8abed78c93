"""A run on HDFS: trained in a folder of this machine, uploaded at each checkpoint.

HDFS is the truth. An upload puts first what a checkpoint needs beside it, then the checkpoint in
one step, then everything that a resume can make again out of it. So wherever a session is killed,
or found that another machine has gone on with the run, there is one whole newest checkpoint with
all that belongs to it.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Collection

from convert.os_errors import kind_of
from convert.storage.interface import FileSystem
from train.errors import OvertakenError, TryAgainError, UsageError
from train.runs.checkpoints.store import Checkpoints
from train.runs.folder import CHECKPOINTS, EVENTS, REPORT, RunFolder
from train.runs.new_folder import CONFIG, is_unborn, no_run, taken
from train.runs.remote.checkpoints import RemoteCheckpoints
from train.runs.remote.files import RemoteFiles


class RemoteRun:
    """A run on HDFS and the folder in which it is trained.

    Args:
        address: The run's, whole.
        path: The folder; nobody else uses it.
        files: What keeps the address.

    Attributes:
        run: The folder as a run; its `upload` is this object's.
        uploads: Checkpoints that were uploaded.
        seconds: What that took; training waited meanwhile.
    """

    def __init__(self, address: str, path: str, files: FileSystem) -> None:
        self.run = RunFolder(path, address, self.upload)
        self.uploads, self.seconds = 0, 0.0
        self._store = files
        self._local = Checkpoints(self.run.file(CHECKPOINTS), shown=self.run.shown(CHECKPOINTS))
        self._files = RemoteFiles(self.run, files)
        self._checkpoints = RemoteCheckpoints(files, address, self.run.shown(CHECKPOINTS))
        self._is_void = self._is_behind = False

    @property
    def is_dispensable(self) -> bool:
        """Whether the folder has nothing that a resume would want."""
        same = self._newest == self._checkpoints.newest and not self._is_behind
        return self._is_void or same

    @property
    def _newest(self) -> str | None:
        names = self._local.names()
        return names[-1] if names else None

    def clear(self) -> None:
        """Deletes the folder of this machine."""
        shutil.rmtree(self.run.path, ignore_errors=True)

    def make(self) -> None:
        """Makes a new run's folder, here and there.

        Raises:
            UsageError: There is something of that name, or it cannot be made.
            TryAgainError: HDFS fails for a passing reason.
        """
        address = self.run.address
        try:
            status = self._store.status(address)
            names = self._store.names(address) if status and status.is_folder else []
            if (status and not status.is_folder) or not is_unborn(names):
                raise taken(address, is_run=CONFIG in names)
            self._store.make_folder(address)
            self._make_empty()  # of an earlier run of that name
        except OSError as error:
            raise UsageError(f"{address}: cannot be made: {error.strerror}.") from error

    def fetch(self) -> None:
        """Brings the folder of this machine to what is on HDFS.

        If a session on this machine could not upload its last checkpoint, and nobody has gone on
        since, that checkpoint stays.

        Raises:
            FormatError: There is no such run.
            TryAgainError: HDFS fails for a passing reason, or something cannot be copied.
        """
        address = self.run.address
        try:
            self._files.look()
            if CONFIG not in self._files.names:
                raise no_run(address)
            self._checkpoints.look()
            self._fetch()
        except OSError as error:
            raise kind_of(error)(
                f"{address}: cannot be copied to {self.run.path}: {error.strerror}. Once that is "
                f"repaired, go on with `train resume {address}`."
            ) from error

    def _fetch(self) -> None:
        stay = (CHECKPOINTS, EVENTS) if self._checkpoints.are_continued(self._local) else ()
        self._make_empty(stay)
        if not stay:
            self._checkpoints.fetch(self._local)
        names = [name for name in self._files.names if not name.startswith(stay)]
        if self._newest != self._checkpoints.newest:  # then the report tells of another end
            names = [name for name in names if name != REPORT]
        self._files.fetch(names)

    def _make_empty(self, stay: Collection[str] = ()) -> None:
        """Makes the folder of this machine, or deletes all of it but some folders."""
        os.makedirs(self.run.path, mode=0o700, exist_ok=True)
        for entry in os.scandir(self.run.path):
            if entry.is_dir(follow_symlinks=False) and entry.name not in stay:
                shutil.rmtree(entry.path)
            elif not entry.is_dir(follow_symlinks=False):
                os.unlink(entry.path)

    def upload(self) -> None:
        """Makes the run on HDFS what it is on this machine.

        Raises:
            OvertakenError: Another machine has gone on with the run; nothing was overwritten.
            TryAgainError: It cannot be uploaded.
            UsageError: Another machine has made a run of that name meanwhile.
        """
        address, started = self.run.address, time.monotonic()
        self._is_behind = True
        try:
            self._upload()
        except OvertakenError:
            self._is_void = True
            raise
        except (OSError, TryAgainError) as error:
            kind = kind_of(error) if isinstance(error, OSError) else TryAgainError
            raise kind(
                f"{address}: cannot be uploaded: {_reason(error)}. Once that is repaired, go on "
                f"with `train resume {address}`; on this machine nothing is lost."
            ) from error
        self._is_behind = False
        self.seconds += time.monotonic() - started

    def _upload(self) -> None:
        self._checkpoints.require_ours()
        self._files.put_first()
        newest = self._newest
        if newest is not None and newest != self._checkpoints.newest:
            self._checkpoints.put(os.path.join(self._local.path, newest))
            self.uploads += 1
        self._files.put_rest()
        self._checkpoints.prune(self.run.config()["keep_checkpoints"])


def _reason(error: OSError | TryAgainError) -> str:
    """Returns an error's message without the remedy, which is for other cases."""
    cause = error.__cause__ if isinstance(error, TryAgainError) else error
    return str(cause.strerror if isinstance(cause, OSError) else error).rstrip(".")
