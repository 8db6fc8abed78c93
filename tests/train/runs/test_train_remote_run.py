"""What an upload leaves on HDFS wherever it is killed or overtaken; without training."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from remote_cases import (
    ADDRESS,
    ROOT,
    Killed,
    Store,
    begin,
    checkpoints,
    content,
    name,
    newest,
    session,
    step,
    two_checkpoints,
)

from train.errors import FormatError, OvertakenError, UsageError


def events(folder):
    return (folder / "events" / "events.out.tfevents.1").stat().st_size


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
