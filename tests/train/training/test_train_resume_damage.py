"""Full disks and damaged checkpoints: a run that they stopped ends as if nothing had been."""

from __future__ import annotations

import errno
import os
import resource
import signal
from pathlib import Path

import keras
import numpy as np
import pytest
from resume_cases import (
    FLAGS,
    assert_same,
    at_step,
    config,
    content,
    newest,
    points,
    resumed,
    send,
)

from train.errors import StoppedError, TryAgainError
from train.runs import folder
from train.runs.events import EventFile
from train.training.resuming.resume import resume_training
from train.training.start import train_model

pytestmark = pytest.mark.usefixtures("cached_model", "counting_clock")


def full(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(
    ("where", "name", "file"),
    [
        (np, "savez", "checkpoints"),
        (folder, "write_file", "history.csv"),
        pytest.param(keras.Model, "save", "last.keras", marks=pytest.mark.long),
        pytest.param(EventFile, "add", "events", marks=pytest.mark.long),
    ],
)
def test_a_full_disk(where, name, file, tiny_dataset, whole_run, tmp_path, monkeypatch):
    run = tmp_path / "run"
    with monkeypatch.context() as patched:
        at_step(patched, 15, lambda: patched.setattr(where, name, full))
        with pytest.raises(TryAgainError) as failed:
            train_model(config(tiny_dataset, tmp_path))
    assert str(failed.value) == (
        f"{run}/{file}: cannot be written: No space left on device. "
        f"Free space or repair the disk, then go on with `train resume {run}`."
    )
    assert failed.value.exit_code == 75
    assert newest(run).position.epoch == 1  # the earlier ones are as they were
    resumed(run)
    assert_same(content(whole_run), content(run))


@pytest.mark.long
def test_a_disk_that_fills_amid_a_checkpoint(tiny_dataset, whole_run, tmp_path, monkeypatch):
    """The kernel refuses to let a file grow: models have room, the state has not."""
    run, limits = tmp_path / "run", resource.getrlimit(resource.RLIMIT_FSIZE)
    sizes = [
        Path(newest(whole_run).path, name).stat().st_size for name in ("last.keras", "state.npz")
    ]
    assert sizes[0] < sizes[1]
    room = sum(sizes) // 2
    try:
        with monkeypatch.context() as patched:
            at_step(
                patched,
                15,
                lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1])),
            )
            with pytest.raises(TryAgainError, match="checkpoints: cannot be written: File too"):
                train_model(config(tiny_dataset, tmp_path))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not [name for name in os.listdir(run / "checkpoints") if name.startswith(".")]
    resumed(run)
    assert_same(content(whole_run), content(run))


@pytest.mark.parametrize(
    "file",
    [
        "state.npz",
        pytest.param("checkpoint.json", marks=pytest.mark.long),
        pytest.param("best.keras", marks=pytest.mark.long),
    ],
)
def test_a_truncated_checkpoint(file, tiny_dataset, whole_run, tmp_path, monkeypatch):
    run = tmp_path / "run"
    with monkeypatch.context() as patched:
        at_step(patched, 20, send(signal.SIGTERM))
        with pytest.raises(StoppedError):
            train_model(config(tiny_dataset, tmp_path))
    path = Path(newest(run).path, file)
    os.truncate(path, path.stat().st_size // 2)
    damage, opening, *_ = resumed(run)
    assert damage.startswith(f"{path.parent}: damaged: ")
    assert file in damage
    assert damage.endswith("; falls back to epoch-0001-step-00000005")
    assert opening == f"{run}: goes on in epoch 2/3 after step 5/11"
    assert_same(content(whole_run), content(run))


def test_everything_is_cut_back(tiny_dataset, whole_run, tmp_path, monkeypatch):
    """From the second epoch to a checkpoint of the first."""
    run = tmp_path / "run"
    with monkeypatch.context() as patched:
        at_step(patched, 21, send(signal.SIGTERM))
        with pytest.raises(StoppedError):
            train_model(config(tiny_dataset, tmp_path, keep_checkpoints=99))
    assert {"history.csv", "best.keras", "last.keras"} < set(os.listdir(run))
    for name in os.listdir(run / "checkpoints"):
        if not name.startswith("epoch-0000"):
            os.truncate(run / "checkpoints" / name / "state.npz", 9)
    with monkeypatch.context() as patched:
        at_step(patched, 1, send(signal.SIGTERM))
        with pytest.raises(StoppedError):
            resume_training(str(run), {"keep_checkpoints": FLAGS["keep_checkpoints"]})
    assert not {"history.csv", "best.keras", "last.keras"} & set(os.listdir(run))
    assert {step for _, step, _ in points(run)} == {10, 11}  # the epoch ends at 11
    resumed(run)
    assert_same(content(whole_run), content(run))
