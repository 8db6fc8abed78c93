"""The `train` command as a user types it."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import forked
import pytest
from timed_lines import untimed

from train.cli import main

ROOT = Path(__file__).parents[3]

# One epoch of two steps, of a network as small as there is.
BASE = {"epochs": 1, "batch_size": 45, "model": "cnn", "width": 0.125, "augment": "none"}
# The same for the command.
SMALL = (
    *("--epochs", str(BASE["epochs"]), "--batch-size", str(BASE["batch_size"])),
    *("--model", BASE["model"], "--width", str(BASE["width"]), "--no-augment"),
)


def train(*words, cwd=None):
    """Runs the command in a fork; returns exit code, lines of stdout and lines of stderr."""
    done = forked.run(forked.TRAIN, *words, cwd=cwd)
    return done.returncode, done.stdout.splitlines(), untimed(done.stderr).splitlines()


def train_from_exec(*words, cwd=None):
    """As `train`, in a process that also loads Python and TensorFlow."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("TF_CPP_MIN_LOG_LEVEL", None)  # the test may have imported JAX, which sets it
    done = subprocess.run(
        [sys.executable, "-m", "train", *map(str, words)],
        capture_output=True,
        text=True,
        cwd=cwd,
        check=False,
        env=environment,
    )
    return done.returncode, done.stdout.splitlines(), untimed(done.stderr).splitlines()


def learn(dataset, path, **options):
    """Trains in this process, into a new run."""
    from train.config import TrainConfig
    from train.runs.folder import RunFolder
    from train.training.start import train_model

    config = {**BASE, **options}
    train_model(TrainConfig(dataset=str(dataset), run=str(path), **config))
    return RunFolder.open(str(path))


def run_main(*words) -> int:
    """Runs the command in this process; returns its exit code."""
    with pytest.raises(SystemExit) as caught:
        main([str(word) for word in words])
    return caught.value.code


def history(path):
    """Returns the rows of a run's history.csv."""
    with (path / "history.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
