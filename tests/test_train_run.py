"""Runs from start to end, through the command as a user types it."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT, SAMPLE

from train.config import TrainConfig
from train.errors import UsageError

FILES = {
    "best.keras", "config.json", "dataset.json", "environment.json", "events", "history.csv",
    "last.keras", "log.txt",
}  # fmt: skip


def train(*words, cwd=None):
    """Runs the command; returns exit code, lines of stdout and lines of stderr."""
    done = subprocess.run(
        [sys.executable, "-m", "train", *map(str, words)],
        capture_output=True,
        text=True,
        cwd=cwd,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    return done.returncode, done.stdout.splitlines(), done.stderr.splitlines()


@pytest.fixture(scope="module")
def run(small_dataset, tmp_path_factory):
    """A short run: too short to learn, long enough to leave everything behind."""
    path = tmp_path_factory.mktemp("run") / "run"
    flags = ("--epochs", 2, "--batch-size", 16, "--run", path, "--json")
    code, stdout, stderr = train(small_dataset, *flags)
    assert code == 0, stderr
    return path, json.loads(stdout[-1]), stderr


def history(path):
    with (path / "history.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_run_folder_is_complete(run):
    path, summary, _ = run
    assert {file.name for file in path.iterdir()} == FILES
    assert summary["run"] == str(path)
    assert (summary["epochs"], summary["steps"]) == (2, 10)


def test_config_remembers_flags_dataset_and_window(run, small_dataset):
    path, _, _ = run
    config = json.loads((path / "config.json").read_text(encoding="utf-8"))
    assert config["batch_size"] == 16
    assert config["dataset"] == str(small_dataset)
    assert config["window"] == 90  # resolved: it is part of the order
    assert config["head"] == "shared"
    dataset = (small_dataset / "dataset.json").read_bytes()
    assert (path / "dataset.json").read_bytes() == dataset


def test_history_has_a_row_an_epoch(run):
    path, summary, _ = run
    rows = history(path)
    assert [(row["epoch"], row["step"]) for row in rows] == [("1", "5"), ("2", "10")]
    best = max(rows, key=lambda row: float(row["validation_exact"]))
    assert summary["exact"] == float(best["validation_exact"])
    assert all(0 <= float(row["input_wait"]) <= 1 for row in rows)
    assert float(rows[-1]["learning_rate"]) == pytest.approx(0, abs=1e-9)  # the cosine has ended


def test_progress_lines_say_what_matters(run):
    _, _, lines = run
    epochs = [line for line in lines if line.startswith("train: epoch 2/2  loss")]
    assert len(epochs) == 1
    for word in ("characters", "exact", "validation", "images/s", "input wait"):
        assert word in epochs[0]
    assert lines[-1] == f"train: the run's files are in {run[0]}"
    assert all(line.startswith("train: ") for line in lines)  # nothing of TensorFlow's own


def test_log_holds_the_lines(run):
    path, _, lines = run
    said = (path / "log.txt").read_text(encoding="utf-8").splitlines()
    assert [f"train: {line}" for line in said] == lines[: len(said)]


def test_events_are_scalars_on_optimizer_steps(run):
    """Read with our own eyes, since TensorBoard would bring pillow along."""
    from tensorboardX.proto.event_pb2 import Event

    (file,) = (run[0] / "events").iterdir()
    data, found = file.read_bytes(), {}
    while data:
        length = int.from_bytes(data[:8], "little")
        event = Event.FromString(data[12 : 12 + length])
        data = data[16 + length :]
        for value in event.summary.value:
            found.setdefault(value.tag, []).append(event.step)
    assert found["train/loss"] == [10]
    assert found["epoch/validation_exact"] == [5, 10]


def test_evaluate_finds_what_training_found(run):
    path, summary, _ = run
    code, stdout, _ = train("evaluate", path, "--json")
    found = json.loads(stdout[-1])
    assert code == 0
    assert (found["split"], found["records"]) == ("validation", 30)
    assert found["exact"] == summary["exact"]
    assert found["character_accuracy"] == summary["character_accuracy"]


def test_predict_prepares_files_as_conversion_did(run, small_dataset, sample_rows, tmp_path):
    """Predictions from files are those from shards; a bad file is a row, not a stop."""
    from train.evaluate import blanks_of, evaluate_source, text_of
    from train.folder import RunFolder
    from train.source import open_source

    path, _, _ = run
    folder = RunFolder.open(str(path))
    info = folder.dataset_info()
    source = open_source(str(small_dataset), "validation", 7, 0)
    evaluation = evaluate_source(folder.load_model(), source, blanks_of(info))
    rows = source.reader.rows(np.arange(30))
    expected = {
        str(SAMPLE / sample_rows[row]["path"]): text_of(classes, info)
        for row, classes in zip(rows, evaluation.predictions.tolist(), strict=True)
    }
    (tmp_path / "page.png").write_text("<html>", encoding="utf-8")
    code, stdout, stderr = train("predict", path, *expected, tmp_path / "page.png")
    read = {row["path"]: row for row in csv.DictReader(stdout)}
    assert code == 0
    assert {name: row["text"] for name, row in read.items() if not row["error"]} == expected
    assert read[str(tmp_path / "page.png")]["error"] == (
        "unknown_format: starts with b'<html>', expected one of PNG, JPEG, BMP, GIF, TIFF, WEBP"
    )
    assert stderr == ["train: 1 of 31 images could not be read; see `error`"]


def test_the_saved_model_loads_without_shardfeed(run):
    code = (
        "import sys, keras; m = keras.models.load_model(sys.argv[1], safe_mode=True); "
        "assert not {'train', 'convert'} & set(sys.modules); print(*m.output_names)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, run[0] / "best.keras"], capture_output=True, text=True
    )
    assert done.stdout.split() == ["y0", "y1", "y2", "y3"]


def test_runs_number_themselves(small_dataset, tmp_path):
    flags = ("--epochs", 1, "--batch-size", 64)
    for number in (1, 2):
        _, _, stderr = train(small_dataset, *flags, cwd=tmp_path)
        assert stderr[-1] == f"train: the run's files are in runs/{number}"


def test_training_without_validation_says_so(small_manifest, tmp_path):
    from convert import ConvertConfig
    from convert.job import convert_dataset

    convert_dataset(
        ConvertConfig(
            manifest=str(small_manifest), dataset=str(tmp_path / "strips"), root=str(SAMPLE),
            crop=(186, 0, 300, 30), size=(64, 16), split=(("train", 1.0),), workers=1,
        )
    )  # fmt: skip
    code, _, stderr = train("strips", "--epochs", 1, "--batch-size", 64, cwd=tmp_path)
    assert code == 0
    assert "no validation split, so the last epoch counts as the best" in stderr[0]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["nowhere"], 1, "nowhere: no such dataset folder. Make it with `convert MANIFEST "
         "DATASET`."),
        (["empty"], 1, "empty: no dataset.json in it, so it is no finished dataset. Make it with "
         "`convert MANIFEST DATASET`."),
        (["strips", "--batch-size", "91"], 2, "strips: the split 'train' has 90 records, fewer "
         "than one batch; --batch-size must be at most 90, got 91."),
        (["strips", "--run", "empty/full"], 2, "empty/full: exists already. Name a new folder with "
         "--run, or remove this one."),
        (["strips", "--epochs", "0"], 2, "--epochs must be at least 1, got 0."),
        (["evaluate", "empty"], 1, "empty: no config.json in it, so it is no run. `train` makes "
         "runs."),
        (["evaluate", "run", "--split", "test"], 2, "strips: no split 'test'; the dataset has "
         "train, validation."),
        (["predict", "empty", "x.png"], 1, "empty: no config.json in it, so it is no run. `train` "
         "makes runs."),
        (["predict", "run"], 2, "the following arguments are required: IMAGE. See `train predict "
         "--help`."),
        (["strips", "--head", "none"], 2, "argument --head: invalid choice: 'none' (choose from "
         "'auto', 'shared', 'separate'). See `train fit --help`."),
    ],
)  # fmt: skip
def test_errors_are_one_line(words, code, message, run, small_dataset, tmp_path):
    (tmp_path / "empty" / "full").mkdir(parents=True)
    (tmp_path / "empty" / "full" / "file").touch()
    (tmp_path / "strips").symlink_to(small_dataset)
    shutil.copytree(run[0], tmp_path / "run")
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    (tmp_path / "run" / "config.json").write_text(json.dumps({**config, "dataset": "strips"}))
    assert train(*words, cwd=tmp_path) == (code, [], [f"train: error: {message}"])


def test_a_damaged_record_stops_training_with_one_line(small_dataset, tmp_path):
    shutil.copytree(small_dataset, tmp_path / "strips")
    shard = tmp_path / "strips" / "images-train.tfrecord-00001-of-00004"
    data = bytearray(shard.read_bytes())
    data[3 * 12379 + 500] ^= 1
    shard.write_bytes(data)
    code, _, stderr = train("strips", "--epochs", 1, "--batch-size", 90, cwd=tmp_path)
    assert code == 1
    assert len(stderr) == 2  # the opening line and the error
    assert stderr[1].startswith(
        "train: error: strips/images-train.tfrecord-00001-of-00004: record 3 (manifest row "
    )
    assert stderr[1].endswith(
        ") is damaged: its CRC is wrong. Restore the file from a copy, or convert again with "
        "--overwrite."
    )


def test_another_datasets_classes_are_refused(run, small_manifest, tmp_path):
    from convert import ConvertConfig
    from convert.job import convert_dataset

    rows = small_manifest.read_text(encoding="utf-8").splitlines()
    (tmp_path / "few.csv").write_text("\n".join(rows[:60]), encoding="utf-8")
    convert_dataset(
        ConvertConfig(
            manifest=str(tmp_path / "few.csv"), dataset=str(tmp_path / "few"), root=str(SAMPLE),
            crop=(186, 0, 300, 30), size=(128, 32), split=(("validation", 1.0),), workers=1,
        )
    )  # fmt: skip
    code, _, stderr = train("evaluate", run[0], tmp_path / "few")
    assert code == 2
    assert len(stderr) == 1
    assert stderr[0].startswith(f"train: error: {tmp_path / 'few'}: its classes [")


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"batch_size": 0}, "--batch-size must be at least 1, got 0."),
        ({"window": 0}, "--window must be at least 1, got 0."),
        ({"learning_rate": 0.0}, "--learning-rate must be in (0, 10], got 0."),
        ({"weight_decay": -1.0}, "--weight-decay must be 0 or more, got -1."),
        ({"warmup": 1.0}, "--warmup must be in [0, 1), got 1."),
        ({"label_smoothing": 1.0}, "--label-smoothing must be in [0, 1), got 1."),
        ({"clip_norm": 0.0}, "--clip-norm must be above 0, got 0."),
        ({"seed": -1}, "--seed must be in [0, 2**32), got -1."),
    ],
)
def test_options_are_validated(option, message):
    with pytest.raises(UsageError) as raised:
        TrainConfig(dataset="strips", **option)
    assert str(raised.value) == message
