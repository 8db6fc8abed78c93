"""Runs that are compared bit for bit."""

from __future__ import annotations

import csv
import io
import json
import os
import zipfile
from itertools import count
from pathlib import Path

import h5py
import keras
import numpy as np
from event_cases import read_points

from train.config import TrainConfig
from train.model.build import build_compiled
from train.model.variables import METRICS, WEIGHTS, read_state, write_state
from train.runs.checkpoints.checkpoint import Checkpoint
from train.runs.checkpoints.store import Checkpoints
from train.training.callbacks.recorder import RunRecorder
from train.training.job import Job
from train.training.resuming.resume import resume_training

WALL_CLOCK = {"images_per_second", "input_wait", "seconds"}


FLAGS = {
    "epochs": 3,
    "batch_size": 8,
    "model": "cnn",
    "width": 0.125,
    "checkpoint_minutes": 0.07,  # of a clock that counts: a checkpoint each few steps
    "keep_checkpoints": 2,
}
STEPS = 3 * 11  # of 90 records


def words_of(options: dict[str, object]) -> list[str]:
    """Returns options as a command line."""
    return [word for name, value in options.items() for word in (_flag(name), str(value))]


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def config(dataset, tmp_path, **options):
    """Returns the options of a run in `tmp_path`."""
    return TrainConfig(dataset=str(dataset), run=str(tmp_path / "run"), **{**FLAGS, **options})


def at_step(monkeypatch, step, act):
    """Makes something happen at the end of a step, counted over all epochs."""
    real, steps = RunRecorder.on_train_batch_end, count(1)

    def on_train_batch_end(recorder, batch, logs=None):
        real(recorder, batch, logs)
        if next(steps) == step:
            act()

    monkeypatch.setattr(RunRecorder, "on_train_batch_end", on_train_batch_end)


def send(number):
    """Returns a function that sends this process a signal."""
    return lambda: os.kill(os.getpid(), number)


def resumed(run, **changes):
    """Resumes a run; returns what it said."""
    said = []
    resume_training(str(run), changes, said.append)
    return said


OF_MODELS = (
    "epochs", "learning_rate", "weight_decay", "warmup", "label_smoothing", "clip_norm",
    "gradient_accumulation", "ema", "class_balance", "model", "width", "precision", "head", "seed",
)  # fmt: skip


class OneModel:
    """Stands for `Job.model` where a new model for each of many runs would take minutes."""

    def __init__(self) -> None:
        self._built = {}

    def __call__(self, job: Job) -> keras.Model:
        options = [getattr(job.config, name) for name in OF_MODELS]
        key = str((options, job.info.classes, job.info.image_shape, job.training.num_steps))
        if key not in self._built:
            model = build_compiled(job.config, job.info, job.training.num_steps)
            self._built[key] = model, read_state(model)
        model, fresh = self._built[key]
        write_state(model, fresh, (*WEIGHTS, *METRICS))
        return model


def newest(run: Path) -> Checkpoint:
    """Returns the newest checkpoint, which must be whole."""
    damaged = []
    found = Checkpoints(str(run / "checkpoints")).newest(lambda *problem: damaged.append(problem))
    assert found is not None and not damaged, damaged
    return found


def weights(model: Path) -> dict[str, np.ndarray]:
    """Returns the arrays of a .keras file; the file itself holds the time of saving."""
    found = {}
    with zipfile.ZipFile(model) as archive:
        stored = h5py.File(io.BytesIO(archive.read("model.weights.h5")))

        def visit(name: str, item: object) -> None:
            if isinstance(item, h5py.Dataset):
                found[name] = item[()]

        stored.visititems(visit)
    return found


def points(run: Path) -> list[tuple[str, int, float]]:
    """Returns the points of all curves, less those of the wall clock."""
    found = [point for point in read_points(run) if point.kind == "simple_value"]
    return [
        (tag, step, value.simple_value)
        for tag, step, value in found
        if tag.partition("/")[2] not in WALL_CLOCK
    ]


def history(run: Path) -> list[dict[str, str]]:
    """Returns the rows of history.csv, less what depends on the wall clock."""
    with (run / "history.csv").open(encoding="utf-8", newline="") as file:
        return [
            {key: value for key, value in row.items() if key not in WALL_CLOCK}
            for row in csv.DictReader(file)
        ]


def content(run: Path) -> dict[str, object]:
    """Returns all of a run that a resume promises to leave the same."""
    checkpoint = newest(run)
    models = {name: weights(run / name) for name in ("best.keras", "last.keras")}
    copies = {name: weights(Path(checkpoint.path, name)) for name in ("best.keras", "last.keras")}
    config = json.loads((run / "config.json").read_text(encoding="utf-8"))
    return {
        "files": sorted(file.name for file in run.iterdir()),
        "checkpoint": Path(checkpoint.path).name,
        "state": checkpoint.require_arrays(),
        "models": models,
        "copies": copies,
        "history": history(run),
        "points": points(run),
        "config": {key: value for key, value in config.items() if key != "run"},
    }


def assert_same(one: object, other: object, where: str = "") -> None:
    """Compares nested dicts, arrays bit for bit."""
    if isinstance(one, dict):
        assert isinstance(other, dict)
        assert list(one) == list(other), where
        for key in one:
            assert_same(one[key], other[key], f"{where}/{key}")
    elif isinstance(one, np.ndarray):
        assert isinstance(other, np.ndarray)
        assert (one.shape, one.dtype) == (other.shape, other.dtype), where
        assert one.tobytes() == other.tobytes(), where
    else:
        assert one == other, where
