"""Checkpoints are there whole or not at all, and damage to them is noticed."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from checkpoint_cases import ARRAYS, POSITION

from convert.storage.places import sha256_file
from train.errors import CheckpointError
from train.runs.checkpoints.checkpoint import CHECKPOINT, STATE
from train.runs.checkpoints.store import Checkpoints
from train.runs.events import EventFile, cut_back


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "best.keras"
    path.write_bytes(bytes(range(256)))
    return path


@pytest.fixture
def checkpoints(tmp_path, model):
    """Two: of step 2 and of step 3."""
    found = Checkpoints(str(tmp_path / "checkpoints"), keep=2)
    for step in (2, 3):
        found.write(replace(POSITION, step=step), ARRAYS, {"best.keras": str(model)})
    return found


def newest(checkpoints):
    problems = []
    found = checkpoints.newest(
        lambda path, problem: problems.append((os.path.basename(path), problem))
    )
    return found, problems


def test_what_is_written_is_read(checkpoints, model):
    found, problems = newest(checkpoints)
    assert problems == []
    assert found.position == POSITION
    assert found.models == ("best.keras",)
    headers = found.require_headers()
    assert {name: tuple(header) for name, header in headers.items()} == {
        name: (array.shape, array.dtype) for name, array in ARRAYS.items()
    }
    arrays = found.require_arrays()
    assert list(arrays) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert (arrays[name].dtype, arrays[name].shape) == (array.dtype, array.shape)
        assert arrays[name].tobytes() == array.tobytes()
    copy = os.path.join(found.path, "best.keras")
    assert Path(copy).read_bytes() == model.read_bytes()
    assert not os.path.samefile(copy, model)  # damage to one leaves the other whole


def test_only_the_newest_stay(checkpoints):
    for epoch, step in ((9, 0), (10, 0), (10, 12)):
        checkpoints.write(replace(POSITION, epoch=epoch, step=step), ARRAYS, {})
    assert checkpoints.names() == ["epoch-0010-step-00000000", "epoch-0010-step-00000012"]
    assert sorted(os.listdir(checkpoints.path)) == checkpoints.names()


def test_epochs_are_ordered_as_numbers(checkpoints):
    for epoch in (9999, 10000):
        checkpoints.write(replace(POSITION, epoch=epoch, step=0), ARRAYS, {})
    assert newest(checkpoints)[0].position.epoch == 10000


@pytest.mark.parametrize("file", [STATE, CHECKPOINT, "best.keras"])
@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "missing"])
def test_a_damaged_checkpoint_is_left_out(file, damage, checkpoints):
    path = os.path.join(checkpoints.path, "epoch-0001-step-00000003", file)
    data = bytearray(Path(path).read_bytes())
    if damage == "missing":
        os.unlink(path)
    else:
        data[len(data) // 2] ^= 1
        length = {"truncated": len(data) // 2, "empty": 0, "flipped": len(data)}[damage]
        Path(path).write_bytes(data[:length])
    found, problems = newest(checkpoints)
    assert found.position.step == 2
    ((name, problem),) = problems
    assert name == "epoch-0001-step-00000003"
    assert file in problem


@pytest.mark.parametrize("file", [STATE, "best.keras"])
def test_a_file_larger_than_memory_is_not_read(file, checkpoints, monkeypatch):
    path = os.path.join(checkpoints.path, "epoch-0001-step-00000003", file)
    os.truncate(path, 1 << 40)

    def sha256(read: str) -> str:
        assert read != path
        return sha256_file(read)

    monkeypatch.setattr("train.runs.checkpoints.checkpoint.sha256_file", sha256)
    monkeypatch.setattr("train.runs.checkpoints.checkpoint.available_bytes", lambda: 1 << 30)
    found, problems = newest(checkpoints)
    assert found.position.step == 2
    problem = f"its {file} has 1,099,511,627,776 bytes, more than fit into memory"
    assert problems == [("epoch-0001-step-00000003", problem)]


def test_every_byte_of_the_description_counts(checkpoints):
    """A flipped bit may leave valid JSON with another number."""
    path = os.path.join(checkpoints.path, "epoch-0001-step-00000003", CHECKPOINT)
    data = Path(path).read_bytes()
    blank = b" \n"
    for place in range(len(data)):
        if data[place] not in blank:
            flipped = bytearray(data)
            flipped[place] ^= 1
            Path(path).write_bytes(flipped)
            # The last digit of a float may be another without changing its value.
            assert newest(checkpoints)[0].position in (POSITION, replace(POSITION, step=2)), flipped


def test_a_later_format_is_not_guessed_at(checkpoints, monkeypatch):
    monkeypatch.setattr("train.runs.checkpoints.checkpoint.FORMAT", 2)
    assert newest(checkpoints) == (
        None,
        [
            ("epoch-0001-step-00000003", "its format is 1, expected 2"),
            ("epoch-0001-step-00000002", "its format is 1, expected 2"),
        ],
    )


def test_a_newer_format_asks_for_an_update(checkpoints, monkeypatch):
    """It is no damage, which a resume would pass over, and delete."""
    with monkeypatch.context() as patched:
        patched.setattr("train.runs.checkpoints.store.FORMAT", 2)
        checkpoints.write(replace(POSITION, epoch=2), ARRAYS, {})
    with pytest.raises(CheckpointError) as caught:
        newest(checkpoints)
    assert str(caught.value) == (
        f"{checkpoints.path}/epoch-0002-step-00000003: written by a newer shardfeed: its format is "
        "2, and this version reads 1. Update shardfeed, or start a new run."
    )


def test_pickled_arrays_are_neither_written_nor_read(checkpoints):
    with pytest.raises(ValueError, match="allow_pickle"):
        checkpoints.write(replace(POSITION, step=4), {"a/0": np.array([{}])}, {})
    found, _ = newest(checkpoints)
    np.savez(os.path.join(found.path, STATE), np.array([{}]))
    for read in (found.require_headers, found.require_arrays):
        with pytest.raises(CheckpointError) as caught:
            read()
        assert str(caught.value) == (
            f"{found.path}/{STATE}: cannot be read: an array of Python objects, which are never "
            "loaded. Restore it from a copy, or start a new run."
        )


def test_tidy_removes_what_is_newer_and_what_is_unfinished(checkpoints):
    found, _ = newest(checkpoints)
    checkpoints.write(replace(POSITION, epoch=2), ARRAYS, {})
    for name in (".part-epoch-0003-step-00000000", ".old-epoch-0000-step-00000001"):
        os.makedirs(os.path.join(checkpoints.path, name, "inside"))
    os.makedirs(os.path.join(checkpoints.path, "mine"))
    checkpoints.tidy(found)
    assert sorted(os.listdir(checkpoints.path)) == ["epoch-0001-step-00000003", "mine"]
    checkpoints.tidy(None)
    assert os.listdir(checkpoints.path) == ["mine"]


def test_a_failed_write_leaves_the_others(checkpoints, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    before = sorted(os.listdir(checkpoints.path))
    with pytest.raises(OSError, match="No space left"):
        checkpoints.write(replace(POSITION, epoch=2), ARRAYS, {})
    assert sorted(os.listdir(checkpoints.path)) == before
    assert newest(checkpoints)[0].position == POSITION


def test_the_digests_are_of_what_is_there(checkpoints):
    found, _ = newest(checkpoints)
    content = json.loads(Path(found.path, CHECKPOINT).read_text())
    assert list(content["files"]) == [STATE, "best.keras"]


def test_events_are_cut_back(tmp_path):
    folder = tmp_path / "events"
    with EventFile(str(folder)) as events:
        events.add_scalars({"train/loss": 1.5}, 10)
        sizes = events.sizes()
        events.add_scalars({"train/loss": 1.25}, 20)
        events.flush()
        (name,) = sizes
    with EventFile(str(folder)) as later:
        later.add_scalars({"train/loss": 1.125}, 30)
    (folder / "notes.txt").touch()
    assert cut_back(str(folder), sizes) == []
    assert sorted(os.listdir(folder)) == [name, "notes.txt"]
    assert (folder / name).stat().st_size == sizes[name]
    assert cut_back(str(folder), {name: sizes[name] + 1, "events.out.tfevents.1": 9}) == [
        "events.out.tfevents.1",
        name,
    ]
    assert cut_back(str(folder), {}) == []
    assert os.listdir(folder) == ["notes.txt"]


def test_events_are_read_by_others(tmp_path):
    """By TensorFlow's own reader, CRCs and all."""
    import tensorflow as tf

    with EventFile(str(tmp_path)) as events:
        events.add_scalars({"train/loss": 1.5}, 10)
    read = list(tf.compat.v1.train.summary_iterator(events.path))
    assert read[0].file_version == "brain.Event:2"
    assert [(v.tag, v.simple_value) for v in read[1].summary.value] == [("train/loss", 1.5)]
    assert read[1].step == 10
