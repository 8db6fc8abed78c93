"""Opens runs on this machine or on HDFS."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import NoReturn

from convert.command.signals import removed_by_signals
from convert.dataset.info import DATASET_JSON
from convert.storage.local import locked
from convert.storage.places import absolute, filesystem_of, is_remote
from train.errors import DivergedError, FormatError, RecordError, TryAgainError, UsageError
from train.runs.folder import BEST, CLASS_COUNTS, HISTORY, SEEN, RunFolder
from train.runs.new_folder import CONFIG, ENVIRONMENT, no_run
from train.runs.remote.files import RemoteFiles
from train.runs.remote.upload import RemoteRun

Say = Callable[[str], None]

_TO_READ = (CONFIG, DATASET_JSON, ENVIRONMENT, HISTORY, CLASS_COUNTS, SEEN, BEST)


@contextlib.contextmanager
def new_run(path: str | None, say: Say) -> Iterator[RunFolder]:
    """Makes a run's folder, which no other process trains meanwhile.

    Args:
        path: The folder, or an address on HDFS. None: the next number under `runs/`.
        say: Told what uploads took.

    Raises:
        UsageError: There is one of that name, or it cannot be made.
        TryAgainError: HDFS fails for a passing reason.
    """
    if path is None or not is_remote(path):
        run = RunFolder.create(path)
        with run.locked():
            yield run
        return
    with _working(path, say) as remote:
        remote.make()
        yield remote.run


@contextlib.contextmanager
def resumed_run(path: str, say: Say) -> Iterator[RunFolder]:
    """Opens a run, which no other process trains meanwhile.

    Args:
        path: Its folder, or its address on HDFS.
        say: Told what uploads took.

    Raises:
        FormatError: There is none.
        TryAgainError: Another process trains it, or HDFS fails for a passing reason.
    """
    if not is_remote(path):
        run = RunFolder.open(path)
        run.require_own()
        with run.locked():
            yield run
        return
    with _working(path, say) as remote:
        remote.fetch()
        yield remote.run


@contextlib.contextmanager
def read_run(path: str) -> Iterator[RunFolder]:
    """Opens a run to use its best weights; what is on HDFS is copied for so long.

    Raises:
        FormatError: There is none, or it cannot be read.
        TryAgainError: HDFS fails for a passing reason.
    """
    if not is_remote(path):
        yield RunFolder.open(path)
        return
    address = require_run(path)
    with tempfile.TemporaryDirectory(prefix="shardfeed-") as folder, removed_by_signals(folder):
        run = RunFolder(folder, address)
        remote = RemoteFiles(run, filesystem_of(address))
        try:
            remote.look()
            remote.fetch(_TO_READ)
        except OSError as error:
            raise FormatError(f"{address}: cannot be read: {error.strerror}.") from error
        yield run


def require_run(path: str) -> str:
    """Checks quickly that there is a run; returns what it is called in messages.

    Raises:
        FormatError: There is none, or it cannot be read.
        TryAgainError: HDFS fails for a passing reason.
    """
    if not is_remote(path):
        return RunFolder.open(path).path
    address = absolute(path)
    try:
        if filesystem_of(address).exists(os.path.join(address, CONFIG)):
            return address
    except OSError as error:
        raise FormatError(f"{address}: cannot be read: {error.strerror}.") from error
    raise no_run(address)


@contextlib.contextmanager
def _working(path: str, say: Say) -> Iterator[RemoteRun]:
    """Lends the folder of this machine in which a run on HDFS is trained.

    It is deleted afterwards, unless it has a checkpoint that could not be uploaded.
    """
    address = absolute(path)
    folder = working_folder(address)

    def refuse() -> NoReturn:
        raise TryAgainError(
            f"{address}: another process is training this run. Wait for it, or stop it."
        )

    with locked(f"{folder}.lock", refuse):
        remote = RemoteRun(address, folder, filesystem_of(address))
        try:
            yield remote
        except (DivergedError, RecordError):  # what they point at belongs to the run
            try:
                remote.upload()
            except TryAgainError as failure:
                say(str(failure))
            raise
        finally:
            if remote.is_dispensable:
                remote.clear()
            if remote.uploads:
                say(f"{address}: {remote.uploads} checkpoints uploaded in {remote.seconds:.1f} s")


def working_folder(address: str) -> str:
    """Returns where on this machine a run on HDFS is trained; makes the folder around it.

    It is the same each time: what a killed process leaves is replaced by the next one.

    Raises:
        UsageError: That cannot be made.
    """
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    parent = os.path.join(cache, "shardfeed", "runs")
    try:
        os.makedirs(parent, mode=0o700, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"{parent}: cannot be made: {error.strerror}. A run on HDFS is trained there: set "
            "XDG_CACHE_HOME to a folder on a local disk."
        ) from error
    return os.path.join(parent, sha256(address.encode()).hexdigest()[:32])
