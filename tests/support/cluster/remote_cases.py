"""A folder of this machine that stands for HDFS, and sessions of training that use it."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from pathlib import Path

import pytest

from convert.storage.local import LocalFileSystem
from train.runs.checkpoints.checkpoint import Position
from train.runs.checkpoints.store import Checkpoints
from train.runs.remote.upload import RemoteRun

ROOT = "elsewhere"  # the folder that stands for all of HDFS
URL = f"hdfs://{ROOT}"
ADDRESS = f"{URL}/runs/x"


class Killed(BaseException):
    """Stands for the end of a process: no `except Exception` sees it."""


class Store(LocalFileSystem):
    """Keeps `hdfs://elsewhere/...` below a folder.

    Attributes:
        before: Called with the name of the change that is about to be made, and its path.
        changes: (name, path) of those that were made.
    """

    is_local = False

    def __init__(self, root: Path) -> None:
        self._root, self._disk = root, LocalFileSystem()
        self._lock = threading.RLock()
        self.before = lambda change, path: None
        self.changes = []

    def path(self, address: str) -> str:
        assert address.startswith(URL + "/"), address
        return str(self._root / address.removeprefix(URL + "/"))

    def read(self, path, start=0, length=None):
        return self._disk.read(self.path(path), start, length)

    def stream(self, path, start=0, length=None):
        return self._disk.stream(self.path(path), start, length)

    @contextlib.contextmanager
    def create(self, path):
        self._change("create", path)
        with open(self.path(path), "xb", buffering=0) as file:  # half a file if killed
            yield file
        self._change("complete", path)

    def replace(self, path, content):
        self._change("replace", path)
        part = f"{self.path(path)}.part-{threading.get_ident()}"
        Path(part).write_bytes(content)
        self._change("rename", path)
        os.replace(part, self.path(path))

    def publish(self, part, path):
        self._change("publish", path)
        return self._disk.publish(self.path(part), self.path(path))

    def move(self, folder, target):
        self._change("move", target)
        self._disk.move(self.path(folder), self.path(target))

    def names(self, folder):
        return self._disk.names(self.path(folder))

    def status(self, path):
        return self._disk.status(self.path(path))

    def make_folder(self, path):
        self._change("make_folder", path)
        self._disk.make_folder(self.path(path))

    def remove(self, path):
        if os.path.lexists(self.path(path)):
            self._change("remove", path)
        self._disk.remove(self.path(path))

    def remove_tree(self, path):
        self._change("remove_tree", path)
        self._disk.remove_tree(self.path(path))

    def unlocked(self, act):
        """Lets another session make changes while one is about to make its own."""
        self._lock.release()
        act()
        self._lock.acquire()

    def _change(self, change, path):
        with self._lock:
            self.before(change, self.path(path))
            self.changes.append((change, os.path.relpath(self.path(path), self._root)))


ARRAYS = {"trainable/0": [1.0, 2.0]}


def step(run, number, epoch=0, **changes):
    """Writes what a session does up to a checkpoint."""
    Path(run.path, "events").mkdir(exist_ok=True)
    events = Path(run.path, "events", "events.out.tfevents.1")
    with events.open("ab") as file:
        file.write(b"x" * 10)
    Path(run.file("best.keras")).write_text(f"best of {epoch}/{number}")
    run.write_history([{"epoch": epoch, "step": number}])
    position = Position(
        epoch=epoch,
        step=number,
        options={},
        history=[],
        bad_records=[],
        seconds=time.monotonic(),  # no two checkpoints are the same
        epoch_seconds=0.0,
        epoch_waited_seconds=0.0,
        events={events.name: events.stat().st_size},
    )
    keep = run.config()["keep_checkpoints"]
    Checkpoints(run.file("checkpoints"), keep).write(position, ARRAYS, run.models())


def session(store, folder, address=ADDRESS):
    """Returns a run as one machine sees it."""
    return RemoteRun(address, str(folder), store)


def begin(store, folder, keep=2, address=ADDRESS):
    """Makes a run and uploads what there is before its first step."""
    remote = session(store, folder, address)
    remote.make()
    config = {"dataset": "d", "dataset_id": "i", "keep_checkpoints": keep}
    for name in ("dataset.json", "environment.json"):
        Path(remote.run.file(name)).write_text("{}")
    Path(remote.run.file("config.json")).write_text(json.dumps(config))
    remote.upload()
    return remote


def content(root: Path) -> dict[str, bytes]:
    """Returns all files below a folder."""
    return {
        str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


@pytest.fixture
def store(tmp_path) -> Store:
    """What stands for HDFS."""
    return Store(tmp_path / ROOT)


@pytest.fixture
def there(tmp_path) -> Path:
    """The run's folder on it."""
    return tmp_path / ROOT / "runs" / "x"


def newest(folder):
    """Returns the name of a machine's newest checkpoint, which must be whole."""
    damaged = []
    found = Checkpoints(str(folder / "checkpoints")).newest(lambda *what: damaged.append(what))
    assert not damaged
    return found and Path(found.path).name


def name(number, epoch=0):
    return f"epoch-{epoch:04d}-step-{number:08d}"


def checkpoints(there):
    return sorted(os.listdir(there / "checkpoints"))


def two_checkpoints(store, folder):
    """Returns a session that has uploaded two checkpoints and written a third."""
    remote = begin(store, folder)
    for number in (3, 5):
        step(remote.run, number)
        remote.upload()
    step(remote.run, 7)
    (folder / "report.html").write_text("all")
    return remote
