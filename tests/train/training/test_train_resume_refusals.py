"""What a run cannot be resumed with is told with both sides, and nothing of it is touched."""

from __future__ import annotations

import json
import os
import shutil

import pytest
from conftest import SAMPLE
from resume_cases import FLAGS, newest
from train_cases import train

from convert import ConvertConfig
from convert.job import convert_dataset
from train.config import TrainConfig
from train.errors import (
    CheckpointError,
    FormatError,
    MismatchError,
    ShardfeedError,
    TryAgainError,
    UsageError,
)
from train.runs.environment import differences, environment
from train.runs.folder import RunFolder
from train.training.resuming.resume import resume_training
from train.training.start import train_model

ALLOWED = (
    "Only --dataset, --epochs, --patience, --target, --max-minutes, --checkpoint-minutes, "
    "--keep-checkpoints, --augment-on, --verify-records, --on-bad-record, --manifest, --cache, "
    "--cache-bytes may change. Leave the others out, or start a new run."
)


@pytest.fixture
def finished(whole_run, tmp_path):
    return shutil.copytree(whole_run, tmp_path / "run")


def refusal(run, kind, **changes):
    """Returns the lines of the error; the run must stay as it is."""
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    with pytest.raises(ShardfeedError) as raised:
        resume_training(str(run), changes)
    assert before == {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    assert type(raised.value) is kind
    return str(raised.value).split("\n")


def edit(run, **changes):
    path = run / "config.json"
    config = {**json.loads(path.read_text(encoding="utf-8")), **changes}
    path.write_text(json.dumps({k: v for k, v in config.items() if v != "gone"}), encoding="utf-8")


def test_another_dataset(finished, tiny_dataset, small_manifest, tmp_path):
    convert_dataset(
        ConvertConfig(
            manifest=str(small_manifest), dataset=str(tmp_path / "other"), root=str(SAMPLE),
            crop=(186, 0, 300, 30), size=(64, 32), workers=1,
        )
    )  # fmt: skip
    from convert.dataset.read import read_dataset

    ours, theirs = read_dataset(str(tiny_dataset)), read_dataset(str(tmp_path / "other"))
    classes = len(next(iter(ours.classes.values())))
    where = f"dataset in {tmp_path / 'other'}:"
    assert refusal(finished, MismatchError, dataset=str(tmp_path / "other")) == [
        "these shards are not the ones this run was started on.",
        f"  {'dataset of the run:':{len(where)}}  {ours.dataset_id[:8]} (120 records, {classes} "
        "classes)",
        f"  {where}  {theirs.dataset_id[:8]} (120 records, {classes} classes)",
        "Point --dataset at the original, or start a new run.",
    ]


def test_another_place_of_the_same_dataset(finished, tiny_dataset, tmp_path):
    shutil.copytree(tiny_dataset, tmp_path / "moved")
    edit(finished, dataset="/gone")
    told = refusal(finished, FormatError)
    assert told == [
        "/gone: no such dataset folder. Make it with `convert MANIFEST DATASET`. If the run's "
        "dataset was moved, name it with --dataset."
    ]
    assert resume_training(str(finished), {"dataset": str(tmp_path / "moved")}).epochs == 3


def test_other_options(finished):
    assert refusal(finished, MismatchError, batch_size=64, augment="none", epochs=9) == [
        f"{finished} was started with other options.",
        "  batch size in the run:  8",
        "  batch size asked for:   64",
        "  augment in the run:     default",
        "  augment asked for:      none",
        ALLOWED,
    ]


@pytest.mark.parametrize(
    "same", [{"batch_size": 8}, {"head": "auto"}, {"head": "shared"}, {"window": 90}]
)
def test_equal_options_are_welcome(same, finished):
    assert resume_training(str(finished), same).epochs == 3


def test_an_option_that_no_run_can_have(finished):
    assert refusal(finished, UsageError, epochs=0) == ["--epochs must be at least 1, got 0."]


def test_an_edited_config(finished):
    edit(finished, batch_size=16, seed=1)
    assert refusal(finished, MismatchError) == [
        f"{finished}/config.json was edited since the checkpoint was written.",
        "  batch size in the checkpoint:  8",
        "  batch size in config.json:     16",
        "  seed in the checkpoint:        0",
        "  seed in config.json:           1",
        "Put it back as it was, or start a new run.",
    ]


def test_a_config_of_another_version(finished):
    edit(finished, keep_checkpoints="gone")
    assert refusal(finished, FormatError) == [
        f"{finished}/config.json: has no 'keep_checkpoints', so another version of shardfeed wrote "
        "it. Resume with that version, or start a new run."
    ]


def test_no_checkpoint_is_whole(finished):
    newer = newest(finished).path
    for name in os.listdir(finished / "checkpoints"):
        os.truncate(finished / "checkpoints" / name / "state.npz", 100)
    assert refusal(finished, CheckpointError) == [
        f"{newer}: damaged: the digest of its state.npz is wrong; no other checkpoint is whole. "
        "The run's models and history stay as they are; restore a checkpoint from a copy, or start "
        "a new run."
    ]


def test_checkpoints_that_are_gone(finished):
    """To start again would delete the models of many epochs."""
    shutil.rmtree(finished / "checkpoints")
    assert refusal(finished, CheckpointError) == [
        f"{finished}/checkpoints: its checkpoints are gone. The run's models and history stay as "
        "they are; restore a checkpoint from a copy, or start a new run."
    ]


def test_two_processes(finished):
    with RunFolder.open(str(finished)).locked(), pytest.raises(TryAgainError) as raised:
        resume_training(str(finished), {})
    assert str(raised.value) == (
        f"{finished}: another process is training this run. Wait for it, or stop it."
    )
    assert not (finished / ".lock").exists()
    assert resume_training(str(finished), {}).epochs == 3


def test_a_second_fit(finished, tiny_dataset, one_model, monkeypatch):
    from train.training.job import Job

    monkeypatch.setattr(Job, "model", lambda job: one_model(job))
    with pytest.raises(UsageError) as raised:
        train_model(TrainConfig(dataset=str(tiny_dataset), run=str(finished), **FLAGS))
    assert str(raised.value) == (
        f"{finished}: exists already. It is a run: go on with `train resume {finished}`. "
        "Name a new folder with --run, or remove this one."
    )


def test_the_command_tells_both_sides(finished):
    code, stdout, stderr = train("resume", finished, "--batch-size", 64)
    assert (code, stdout) == (2, [])
    assert stderr == [
        f"train: error: {finished} was started with other options.",
        "  batch size in the run:  8",
        "  batch size asked for:   64",
        ALLOWED,
    ]


def test_the_command_tells_that_a_run_is_complete(finished):
    code, stdout, stderr = train("resume", finished, "--json")
    assert (code, stderr[0]) == (0, f"train: {finished} is complete: 3 epochs are done")
    summary = json.loads(stdout[-1])
    assert (summary["epochs"], summary["steps"], summary["bad_records"]) == (3, 33, 0)


def test_what_is_no_run(tmp_path):
    code, _, stderr = train("resume", tmp_path)
    assert (code, stderr) == (
        1,
        [f"train: error: {tmp_path}: no config.json in it, so it is no run. `train` makes runs."],
    )


def test_patience_without_validation(small_manifest, tmp_path):
    convert_dataset(
        ConvertConfig(
            manifest=str(small_manifest), dataset=str(tmp_path / "strips"), root=str(SAMPLE),
            crop=(186, 0, 300, 30), size=(64, 16), split=(("train", 1.0),), workers=1,
        )
    )  # fmt: skip
    with pytest.raises(UsageError) as raised:
        train_model(TrainConfig(dataset=str(tmp_path / "strips"), patience=2))
    assert str(raised.value) == (
        f"--patience needs a validation split, {tmp_path / 'strips'} has none. Leave it out, "
        "or convert again with --split train=0.9,validation=0.1."
    )


def test_another_machine_is_told():
    now = environment()
    then = {**now, "cpus": 64, "python": "2.7", "packages": {**now["packages"], "keras": "3.0"}}
    assert differences(now, now) == []
    assert differences(then, now) == [
        f"cpus {now['cpus']}, was 64", f"keras {now['packages']['keras']}, was 3.0",
    ]  # fmt: skip


def test_quoted_values_stay_on_their_line():
    error = MismatchError("a\tb", [("in\nit", "x\ny"), ("out", "z")], "c")
    assert str(error).split("\n") == [r"a\tb", r"  in\nit:  x\ny", "  out:    z", "c"]


@pytest.mark.parametrize(
    "left", [[], [".lock"], [".lock", "dataset.json"], [".lock", "config.json.part-123"]]
)
def test_a_run_that_was_killed_before_it_was_one_is_started_again(left, tmp_path):
    """A scheduler runs the same line once more."""
    for name in left:
        (tmp_path / name).touch()
    assert RunFolder.create(str(tmp_path)).path == str(tmp_path)


def test_a_folder_with_anything_else_is_refused(tmp_path):
    (tmp_path / ".lock").touch()
    (tmp_path / "notes.txt").touch()
    with pytest.raises(UsageError, match="exists already"):
        RunFolder.create(str(tmp_path))
