"""Trainings whose run is elsewhere: stopped, gone on with on other machines, and read with."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest
from remote_cases import ADDRESS, ROOT, Killed, Store
from resume_cases import FLAGS, assert_same, at_step, content, newest, points, resumed, send

from convert.storage import places as storage
from convert.storage.hdfs.error_translation import PassingError
from train.config import TrainConfig
from train.errors import DivergedError, OvertakenError, StoppedError, TryAgainError
from train.evaluation.evaluate_run import evaluate_run
from train.runs.open import read_run, working_folder
from train.runs.remote import transfer
from train.training import losses
from train.training.resuming.resume import resume_training
from train.training.start import train_model

pytestmark = pytest.mark.usefixtures("cached_model", "counting_clock")


@pytest.fixture
def store(store, monkeypatch) -> Store:
    """Found by whoever opens an address below `URL`."""
    monkeypatch.setitem(storage._HDFS._open, (os.getpid(), ROOT), store)
    return store


@pytest.fixture(autouse=True)
def machine(tmp_path, monkeypatch):
    """Returns a function that makes what follows happen on a machine of that name."""

    def use(name):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / name))
        return tmp_path / name / "shardfeed" / "runs"

    use("one")
    return use


def config(dataset, **options):
    return TrainConfig(dataset=str(dataset), run=ADDRESS, **{**FLAGS, **options})


def stopped_at(step, dataset, monkeypatch, say=lambda line: None, **options):
    """Trains until a signal comes; returns what that said."""
    with monkeypatch.context() as patched:
        at_step(patched, step, send(signal.SIGTERM))
        with pytest.raises(StoppedError) as stopped:
            train_model(config(dataset, **options), say)
    return str(stopped.value)


def assert_whole(whole_run, there):
    """The run is as if nothing had happened to it, and nothing else is there."""
    assert_same(content(whole_run), content(there))
    assert len(os.listdir(there / "checkpoints")) == FLAGS["keep_checkpoints"]
    assert not [path for path in there.rglob("*") if "part-" in path.name]


@pytest.mark.long
def test_stopped_and_gone_on_with_elsewhere(
    store, there, machine, tiny_dataset, whole_run, monkeypatch
):
    said = []
    told = stopped_at(17, tiny_dataset, monkeypatch, said.append)
    assert told == (
        "stopped by SIGTERM in epoch 2 after step 6; a checkpoint is written. "
        f"Go on with `train resume {ADDRESS}`."
    )
    assert said[0].startswith(f"{ADDRESS}: 90 images")
    assert said[-1].startswith(f"{ADDRESS}: ")
    assert " checkpoints uploaded in " in said[-1]
    assert os.listdir(machine("one")) == []  # all of it is elsewhere
    assert Path(newest(there).path).name == "epoch-0001-step-00000006"
    runs = machine("other")
    said.clear()
    result = resume_training(ADDRESS + "/", {}, said.append)
    assert said[0] == f"{ADDRESS}: goes on in epoch 2/3 after step 6/11"
    assert (result.run, result.steps) == (ADDRESS, 33)
    assert json.loads((there / "config.json").read_text())["run"] == ADDRESS
    assert "<title>x" in (there / "report.html").read_text(encoding="utf-8")
    assert os.listdir(runs) == []
    assert_whole(whole_run, there)


def test_killed_and_gone_on_with_elsewhere(
    store, there, machine, tiny_dataset, whole_run, monkeypatch
):
    """In the midst of an upload; what the dead machine has kept harms nobody."""

    def kill(change, path):
        if change == "complete" and "step-00000005" in path:
            store.before = die
            raise Killed

    def die(*_):
        raise Killed

    store.before = kill
    with pytest.raises(Killed):
        train_model(config(tiny_dataset))
    store.before = lambda *_: None
    runs = machine("other")
    resume_training(ADDRESS, {})
    assert_whole(whole_run, there)
    before = {path: path.read_bytes() for path in there.rglob("*") if path.is_file()}
    changes = len(store.changes)
    for name in ("one", "other"):
        runs, said = machine(name), []
        first = resume_training(ADDRESS, {}, said.append)
        assert said == [f"{ADDRESS} is complete: 3 epochs are done"]
        assert (first.epochs, first.run) == (3, ADDRESS)
        assert os.listdir(runs) == []
    assert before == {path: path.read_bytes() for path in there.rglob("*") if path.is_file()}
    assert len(store.changes) == changes


@pytest.mark.long  # test_train_remote_run does it without training
def test_killed_before_the_report(store, there, machine, tiny_dataset, whole_run):
    """The last checkpoint is there, and none of the files that come after it."""

    def kill(change, path):
        if (there / "checkpoints" / "epoch-0003-step-00000000").exists():
            raise Killed

    store.before = kill
    with pytest.raises(Killed):
        train_model(config(tiny_dataset))
    store.before = lambda *_: None
    assert not (there / "report.html").exists()
    machine("other")
    said = []
    resume_training(ADDRESS, {}, said.append)
    assert said[-1] == f"{ADDRESS} is complete: 3 epochs are done"
    assert (there / "report.html").exists()
    assert_whole(whole_run, there)


@pytest.mark.long  # test_train_remote_run does it without training
def test_an_upload_that_fails(store, there, machine, tiny_dataset, whole_run, monkeypatch):
    """The same machine goes on with what it could not upload."""
    monkeypatch.setattr(transfer, "_PAUSES", (0,))

    def fail(change, path):
        if "epoch-0001-step-00000005" in path:
            raise PassingError(errno.EIO, "no DataNode answers")

    store.before = fail
    with pytest.raises(TryAgainError) as raised:
        train_model(config(tiny_dataset))
    store.before = lambda *_: None
    assert str(raised.value) == (
        f"{ADDRESS}: cannot be uploaded: no DataNode answers. Once that is repaired, go on with "
        f"`train resume {ADDRESS}`; on this machine nothing is lost."
    )
    assert raised.value.exit_code == 75
    assert os.path.isdir(working_folder(ADDRESS))
    assert Path(newest(there).path).name == "epoch-0001-step-00000000"
    assert resumed(ADDRESS)[0] == f"{ADDRESS}: goes on in epoch 2/3 after step 5/11"
    assert not os.path.isdir(working_folder(ADDRESS))
    assert_whole(whole_run, there)


@pytest.mark.long  # test_train_remote_run does it without training
def test_overtaken(store, there, machine, tiny_dataset, monkeypatch):
    """Two machines go on with one run: one of them stops at its next checkpoint."""
    stopped_at(13, tiny_dataset, monkeypatch)

    def overtake():
        made = newest(there).path
        shutil.copytree(made, Path(made).with_name("epoch-0001-step-00000003"))

    before = {path: path.read_bytes() for path in there.glob("*.*")}
    with monkeypatch.context() as patched:
        at_step(patched, 1, overtake)
        with pytest.raises(OvertakenError) as raised:
            resume_training(ADDRESS, {})
    assert str(raised.value) == (
        f"{ADDRESS}: its newest checkpoint is epoch-0001-step-00000003, expected "
        "epoch-0001-step-00000002: another process trains this run, and this one stops. Once the "
        f"other has ended, go on with `train resume {ADDRESS}`."
    )
    assert before == {path: path.read_bytes() for path in there.glob("*.*")}
    assert not os.path.isdir(working_folder(ADDRESS))


@pytest.mark.long  # test_train_remote_run does it without training
def test_a_damaged_checkpoint(store, there, machine, tiny_dataset, whole_run, monkeypatch):
    stopped_at(20, tiny_dataset, monkeypatch)
    path = Path(newest(there).path, "state.npz")
    os.truncate(path, path.stat().st_size // 2)
    machine("other")
    damage, opening, *_ = resumed(ADDRESS)
    assert damage == (
        f"{ADDRESS}/checkpoints/{path.parent.name}: damaged: the digest of its state.npz is wrong; "
        "falls back to epoch-0001-step-00000005"
    )
    assert opening == f"{ADDRESS}: goes on in epoch 2/3 after step 5/11"
    assert_whole(whole_run, there)


def test_one_process_of_a_machine(store, tiny_dataset, monkeypatch):
    with monkeypatch.context() as patched:
        at_step(patched, 1, lambda: resume_training(ADDRESS, {}))
        with pytest.raises(TryAgainError) as raised:
            train_model(config(tiny_dataset))
    assert str(raised.value) == (
        f"{ADDRESS}: another process is training this run. Wait for it, or stop it."
    )


def test_a_loss_that_is_no_number(store, there, machine, tiny_dataset, monkeypatch):
    """The batch that shows why belongs to the run."""
    never = SimpleNamespace(isfinite=lambda loss: False)
    with monkeypatch.context() as patched:
        at_step(patched, 3, lambda: patched.setattr(losses, "math", never))
        with pytest.raises(DivergedError) as raised:
            train_model(config(tiny_dataset))
    assert f"its batch is in {ADDRESS}/diverged.npz" in str(raised.value)
    assert (there / "diverged.npz").exists()
    assert os.listdir(machine("one")) == []


def test_reading_with_it(store, there, whole_run, tmp_path, monkeypatch):
    shutil.copytree(whole_run, there)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    with read_run(ADDRESS) as run:
        assert run.address == ADDRESS
        found = evaluate_run(run)
        assert len(run.history()) == 3
    with read_run(str(whole_run)) as run:
        assert_same(vars_of(found), vars_of(evaluate_run(run)))
    assert os.listdir(temporary) == []
    assert store.changes == []


def vars_of(result):
    evaluation = result.evaluation
    return {"exact": evaluation.exact, "losses": evaluation.losses, "rows": result.rows}


@pytest.mark.long
def test_more_epochs(store, there, machine, tiny_dataset, whole_run, monkeypatch):
    """A report of fewer epochs goes with the first new checkpoint."""
    train_model(config(tiny_dataset, epochs=2))
    assert (there / "report.html").exists()
    machine("other")
    with monkeypatch.context() as patched:
        at_step(patched, 5, send(signal.SIGTERM))
        with pytest.raises(StoppedError):
            resume_training(ADDRESS, {"epochs": 3})
    assert not (there / "report.html").exists()
    assert json.loads((there / "config.json").read_text())["epochs"] == 3
    machine("one")
    resumed(ADDRESS)
    assert (there / "report.html").exists()
    assert {step for _, step, _ in points(there)} >= {33}


def test_a_cache_that_cannot_be_made(store, tmp_path, tiny_dataset, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(ValueError) as raised:
        train_model(config(tiny_dataset))
    assert str(raised.value) == (
        f"{tmp_path}/file/shardfeed/runs: cannot be made: Not a directory. A run on HDFS is "
        "trained there: set XDG_CACHE_HOME to a folder on a local disk."
    )
