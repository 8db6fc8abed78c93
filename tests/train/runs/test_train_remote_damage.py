"""What a failed upload leaves, and checkpoints damaged here or on HDFS; without training."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from remote_cases import (
    ADDRESS,
    Killed,
    checkpoints,
    content,
    name,
    newest,
    session,
    step,
    two_checkpoints,
)

from convert.storage.hdfs.error_translation import PassingError
from train.errors import TryAgainError
from train.runs.checkpoints.store import Checkpoints
from train.runs.remote import transfer


@pytest.mark.parametrize("file", ["state.npz", "checkpoint.json", "best.keras"])
@pytest.mark.parametrize("damage", [lambda path: os.truncate(path, 9), os.unlink])
def test_a_damaged_checkpoint(file, damage, store, there, tmp_path):
    two_checkpoints(store, tmp_path / "one")
    damage(there / "checkpoints" / name(5) / file)
    other = session(store, tmp_path / "other")
    other.fetch()
    told = []
    found = Checkpoints(other.run.file("checkpoints")).newest(lambda *what: told.append(what))
    assert Path(found.path).name == name(3)
    assert [told[0] for told in told] == [name(5)]
    Checkpoints(other.run.file("checkpoints")).tidy(found)
    step(other.run, 5)  # again
    other.upload()
    assert checkpoints(there) == [name(3), name(5)]
    late = session(store, tmp_path / "late")
    late.fetch()
    assert newest(tmp_path / "late") == name(5)


class Broken:
    """Lets each change fail."""

    def __init__(self, error):
        self.error = error

    def __call__(self, *_):
        raise self.error


def failed_upload(store, folder, file=""):
    remote = two_checkpoints(store, folder)

    def fail(change, path):
        if file in path:
            raise OSError(errno.EDQUOT, "The quota is exceeded", ADDRESS)

    store.before = fail
    with pytest.raises(TryAgainError) as raised:
        remote.upload()
    store.before = lambda *_: None
    assert str(raised.value) == (
        f"{ADDRESS}: cannot be uploaded: The quota is exceeded. Once that is repaired, go on with "
        f"`train resume {ADDRESS}`; on this machine nothing is lost."
    )
    assert not remote.is_dispensable


def test_a_failed_upload_is_gone_on_with_on_the_same_machine(store, there, tmp_path):
    failed_upload(store, tmp_path / "one")
    again = session(store, tmp_path / "one")
    again.fetch()
    assert newest(tmp_path / "one") == name(7)
    again.upload()
    assert checkpoints(there) == [name(5), name(7)]
    assert again.is_dispensable


def test_an_upload_that_fails_after_its_checkpoint(store, there, tmp_path):
    failed_upload(store, tmp_path / "one", "history.csv")
    assert newest(there) == name(7)
    again = session(store, tmp_path / "one")
    again.fetch()
    again.upload()
    assert (there / "history.csv").read_text() == "epoch,step\n0,5\n"  # a resume makes it again


def test_a_report_is_not_older_than_the_checkpoint(store, there, tmp_path):
    remote = two_checkpoints(store, tmp_path / "one")
    remote.upload()
    os.unlink(tmp_path / "one" / "report.html")
    step(remote.run, 9)

    def kill(change, path):
        if (there / "checkpoints" / name(9)).exists():
            raise Killed

    store.before = kill
    with pytest.raises(Killed):
        remote.upload()
    assert not (there / "report.html").exists()


def test_a_failed_upload_is_not_missed_on_another_machine(store, tmp_path):
    failed_upload(store, tmp_path / "one")
    other = session(store, tmp_path / "other")
    other.fetch()
    assert newest(tmp_path / "other") == name(5)


@pytest.mark.parametrize("number", [6, 7, 9])
def test_hdfs_is_the_truth(number, store, tmp_path):
    """Another machine went on where this one could not upload: its own is void."""
    failed_upload(store, tmp_path / "one")
    other = session(store, tmp_path / "other")
    other.fetch()
    step(other.run, number)
    other.upload()
    (tmp_path / "one" / "junk").write_text("of a killed process")
    again = session(store, tmp_path / "one")
    again.fetch()
    assert content(tmp_path / "one" / "checkpoints" / name(number)) == content(
        tmp_path / "other" / "checkpoints" / name(number)
    )
    assert newest(tmp_path / "one") == name(number)
    assert not (tmp_path / "one" / "junk").exists()


def test_a_local_checkpoint_that_was_damaged_is_fetched(store, tmp_path):
    two_checkpoints(store, tmp_path / "one")
    for number in (5, 7):
        os.truncate(tmp_path / "one" / "checkpoints" / name(number) / "state.npz", 9)
    again = session(store, tmp_path / "one")
    again.fetch()
    assert newest(tmp_path / "one") == name(5)


def test_a_write_is_begun_again(store, there, tmp_path, monkeypatch):
    monkeypatch.setattr(transfer, "_PAUSES", (0, 0, 0))
    remote = two_checkpoints(store, tmp_path / "one")
    failures = {}

    def fail_once(change, path):
        if change in ("complete", "rename") and not failures.setdefault(path, 0):
            failures[path] += 1
            raise PassingError(errno.EIO, "a DataNode is gone")

    store.before = fail_once
    remote.upload()
    assert len(failures) > 5
    assert newest(there) == name(7)
    store.before = Broken(PassingError(errno.EIO, "a DataNode is gone"))
    (tmp_path / "one" / "log.txt").write_text("a line\n")
    with pytest.raises(TryAgainError, match=f"^{ADDRESS}: cannot be uploaded: a DataNode is gone."):
        remote.upload()
