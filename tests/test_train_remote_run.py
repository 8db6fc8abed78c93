"""What an upload leaves on HDFS wherever it is killed or overtaken; without training."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path

import pytest
from remote_cases import ADDRESS, Killed, Store, begin, content, session, step

from convert.hdfs_errors import PassingError
from train import transfer
from train.checkpoint import Checkpoints
from train.errors import FormatError, OvertakenError, TryAgainError, UsageError

ROOT = "elsewhere"


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path / ROOT)


@pytest.fixture
def there(tmp_path) -> Path:
    return tmp_path / ROOT / "runs" / "x"


def newest(folder):
    """Returns the name of a machine's newest checkpoint, which must be whole."""
    damaged = []
    found = Checkpoints(str(folder / "checkpoints")).newest(lambda *what: damaged.append(what))
    assert not damaged
    return found and Path(found.path).name


def name(number, epoch=0):
    return f"epoch-{epoch:04d}-step-{number:08d}"


def events(folder):
    return (folder / "events" / "events.out.tfevents.1").stat().st_size


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


def changes_of_an_upload(tmp_path):
    store = Store(tmp_path / "counted")
    remote = two_checkpoints(store, tmp_path / "counting")
    before = len(store.changes)
    remote.upload()
    return store.changes[before:]


def test_killed_before_each_change(tmp_path):
    changes = changes_of_an_upload(tmp_path)
    moved = next(i for i, change in enumerate(changes) if change[0] == "move")
    assert len(changes) > 15
    for number in range(len(changes)):
        folder = tmp_path / str(number)
        store, there = Store(folder / ROOT), folder / ROOT / "runs" / "x"
        remote = two_checkpoints(store, folder / "one")
        begun = len(store.changes)

        def kill(*_, store=store, number=number, begun=begun):
            if len(store.changes) - begun >= number:
                raise Killed

        store.before = kill
        with pytest.raises(Killed):
            remote.upload()
        store.before = lambda *_: None
        other = session(store, folder / "other")
        other.fetch()
        # Files of one upload are written at once, in any order: but all before the checkpoint.
        assert newest(folder / "other") == name(5 if number <= moved else 7)
        assert events(folder / "other") >= (20 if number <= moved else 30)
        assert not (folder / "other" / "report.html").exists() or number > moved
        step(other.run, 8)
        other.upload()
        assert len(checkpoints(there)) == 2
        assert checkpoints(there)[-1] == name(8)
        assert not [path for path in there.rglob("*") if "part-" in path.name]
        mine = content(folder / "other")
        assert {path: mine[path] for path in content(there) if path in mine} == {
            path: data for path, data in content(there).items() if path in mine
        }
        assert {path for path in mine if "/" not in path} == {
            path for path in content(there) if "/" not in path
        }


def test_what_has_not_changed_stays(store, there, tmp_path):
    remote = two_checkpoints(store, tmp_path / "one")
    remote.upload()
    assert content(there) == content(tmp_path / "one")
    store.changes.clear()
    remote.upload()
    assert store.changes == []
    (tmp_path / "one" / "log.txt").write_text("a line\n")
    os.unlink(tmp_path / "one" / "report.html")
    remote.upload()
    changed = {(change, path) for change, path in store.changes if change != "rename"}
    assert changed == {("replace", "runs/x/log.txt"), ("remove", "runs/x/report.html")}


@pytest.mark.parametrize("number", [6, 7, 9])
def test_overtaken(number, store, there, tmp_path):
    """Two sessions went on from one checkpoint; one of them has uploaded another since."""
    first = two_checkpoints(store, tmp_path / "one")
    other = session(store, tmp_path / "other")
    other.fetch()
    step(other.run, number)
    other.upload()
    before = content(there)
    with pytest.raises(OvertakenError) as raised:
        first.upload()
    assert str(raised.value) == (
        f"{ADDRESS}: its newest checkpoint is {name(number)}, expected {name(5)}: another process "
        f"trains this run, and this one stops. Once the other has ended, go on with `train resume "
        f"{ADDRESS}`."
    )
    assert raised.value.exit_code == 75
    assert content(there) == before
    assert first.is_dispensable
    step(other.run, 11)
    other.upload()


@pytest.mark.parametrize(("number", "loser"), [(7, "first"), (8, "first"), (6, "other")])
def test_overtaken_in_the_midst_of_an_upload(number, loser, store, there, tmp_path):
    """Just before the first session's checkpoint gets its name, step 7, the other's is there."""
    first = two_checkpoints(store, tmp_path / "one")
    other = session(store, tmp_path / "other")
    other.fetch()
    step(other.run, number)

    def overtake(change, path):
        if change == "move" and path.endswith(name(7)):
            store.before = lambda *_: None
            store.unlocked(other.upload)

    store.before = overtake
    if loser == "first":
        with pytest.raises(OvertakenError):
            first.upload()
        assert (there / "best.keras").read_text() == f"best of 0/{number}"
    else:
        first.upload()
        with pytest.raises(OvertakenError):
            other.upload()
    winner = other if loser == "first" else first
    step(winner.run, 12)
    winner.upload()
    late = session(store, tmp_path / "late")
    late.fetch()
    assert newest(tmp_path / "late") == name(12)


def test_checkpoints_of_others_are_not_deleted(store, there, tmp_path):
    remote = two_checkpoints(store, tmp_path / "one")
    shutil.copytree(there / "checkpoints" / name(3), there / "checkpoints" / name(1))
    for number in (7, 8, 9):
        step(remote.run, number)
        remote.upload()
    assert checkpoints(there) == [name(1), name(8), name(9)]


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


def test_a_new_run(store, there, tmp_path):
    begin(store, tmp_path / "one")
    last = [path for change, path in store.changes if change in ("rename", "publish")][-1]
    assert last == "runs/x/config.json"  # it makes the folder a run
    with pytest.raises(UsageError) as raised:
        session(store, tmp_path / "other").make()
    assert str(raised.value) == (
        f"{ADDRESS}: exists already. It is a run: go on with `train resume {ADDRESS}`. "
        "Name a new folder with --run, or remove this one."
    )
    os.unlink(there / "config.json")
    begin(store, tmp_path / "other")


@pytest.mark.parametrize("taken", ["folder", "file"])
def test_a_name_that_is_taken(taken, store, there, tmp_path):
    there.parent.mkdir(parents=True)
    if taken == "file":
        there.touch()
    else:
        there.mkdir()
        (there / "notes.txt").touch()
    with pytest.raises(UsageError) as raised:
        session(store, tmp_path / "one").make()
    assert str(raised.value) == (
        f"{ADDRESS}: exists already. Name a new folder with --run, or remove this one."
    )


def test_two_machines_make_one_run(store, there, tmp_path):
    """Both found the name free."""
    remote = session(store, tmp_path / "one")
    remote.make()
    begin(store, tmp_path / "other")
    before = (there / "config.json").read_bytes()
    Path(remote.run.file("config.json")).write_text(json.dumps({"keep_checkpoints": 1}))
    with pytest.raises(UsageError, match=r"exists already\. It is a run"):
        remote.upload()
    assert (there / "config.json").read_bytes() == before


def test_an_earlier_run_of_that_name(store, there, tmp_path):
    two_checkpoints(store, tmp_path / "one")
    shutil.rmtree(there)
    remote = begin(store, tmp_path / "one")
    assert sorted(content(there)) == sorted(content(tmp_path / "one"))
    assert not (tmp_path / "one" / "checkpoints").exists()
    assert Path(remote.run.path).stat().st_mode & 0o777 == 0o700


def test_no_run(store, there, tmp_path):
    there.mkdir(parents=True)
    with pytest.raises(FormatError) as raised:
        session(store, tmp_path / "one").fetch()
    assert str(raised.value) == (
        f"{ADDRESS}: no config.json in it, so it is no run. `train` makes runs."
    )
