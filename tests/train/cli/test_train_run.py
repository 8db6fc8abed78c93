"""Runs from start to end, through the command as a user types it."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys

import numpy as np
import pytest
from conftest import SAMPLE
from train_cases import SMALL, history, train

FILES = {
    "best.keras", "checkpoints", "class_counts.json", "config.json", "dataset.json",
    "environment.json", "events", "history.csv", "last.keras", "last_raw.keras", "log.txt",
    "report.html", "training_images.npy",
}  # fmt: skip


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
    epochs = [line for line in lines if line.startswith("train: epoch 2/2 loss")]
    assert len(epochs) == 1
    for word in ("characters", "exact", "validation"):
        assert word in epochs[0]
    assert lines[-1] == f"train: the run's files are in {run[0]}"
    assert all(line.startswith("train: ") for line in lines)  # nothing of TensorFlow's own


def test_log_holds_the_lines(run):
    path, _, lines = run
    said = (path / "log.txt").read_text(encoding="utf-8").splitlines()
    untimed = [re.sub(r"^(\d{4}-\d\d-\d\d )?\d\d:\d\d:\d\d ", "train: ", line) for line in said]
    assert untimed == lines[: len(said)]


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
    from train.evaluation.evaluate import evaluate_source
    from train.input.open_source import open_source
    from train.records.texts import blanks_of, text_of
    from train.runs.folder import RunFolder

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
        "unknown_format: an HTML page, starts with b'<html>', "
        "expected one of PNG, JPEG, BMP, GIF, TIFF, WEBP"
    )
    assert stderr[0].startswith("train: 31 images in ")
    assert stderr[0].endswith(" images/s, 1 could not be read; see `error`")


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
    (tmp_path / "runs" / "1").mkdir(parents=True)
    _, _, stderr = train(small_dataset, *SMALL, cwd=tmp_path)
    assert stderr[-1] == "train: the run's files are in runs/2"


def test_training_without_validation_says_so(small_manifest, tmp_path):
    from convert import ConvertConfig
    from convert.job import convert_dataset

    convert_dataset(
        ConvertConfig(
            manifest=str(small_manifest), dataset=str(tmp_path / "strips"), root=str(SAMPLE),
            crop=(186, 0, 300, 30), size=(64, 16), split=(("train", 1.0),), workers=1,
        )
    )  # fmt: skip
    code, _, stderr = train("strips", *SMALL, cwd=tmp_path)
    assert code == 0
    assert "no validation split, so the last epoch counts as the best" in stderr[0]
    assert stderr[-1] == "train: the run's files are in runs/1"
