"""`train fit --weights`: begins where another run ended, and needs that run no more."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
from resume_cases import FLAGS, assert_same, at_step, config, content, resumed
from train_cases import SMALL, learn, train

from train.config import FINE_TUNING, TrainConfig
from train.errors import CheckpointError, FormatError, StoppedError, UsageError
from train.runs.folder import RunFolder
from train.training.dry_run import dry_run
from train.training.start import train_model


def test_the_first_weights_are_the_others(whole_run, tiny_dataset, tmp_path):
    said = []
    options = {**FLAGS, "epochs": 1, "learning_rate": 1e-9}
    run = str(tmp_path / "run")
    train_model(
        TrainConfig(dataset=str(tiny_dataset), run=run, weights=str(whole_run), **options),
        said.append,
    )
    assert said[1].startswith(f"weights of {whole_run}: ") and "start fresh" not in said[1]
    ours, theirs = (RunFolder.open(str(path)).load_model() for path in (run, whole_run))
    for one, other in zip(ours.trainable_variables, theirs.trainable_variables, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    stored = RunFolder.open(run).config()
    assert stored["weights"] == str(whole_run)
    digest = hashlib.sha256((whole_run / "best.keras").read_bytes()).hexdigest()
    assert stored["weights_digest"] == digest


@pytest.mark.parametrize("step", [1, 14])
def test_a_resume_needs_no_other_run(
    step, whole_run, tiny_dataset, tmp_path, monkeypatch, counting_clock
):
    """Also after a kill before the first checkpoint that training itself would have written."""
    old = shutil.copytree(whole_run, tmp_path / "old")
    run = tmp_path / "whole/run"
    options = config(tiny_dataset, run.parent, weights=str(old), checkpoint_minutes=9)
    train_model(options)
    stopped = config(tiny_dataset, tmp_path / "stopped", weights=str(old), checkpoint_minutes=9)

    class KilledError(BaseException):
        """Ends a process at once: no handler writes a checkpoint."""

    def kill():
        raise KilledError

    with monkeypatch.context() as patched:
        at_step(patched, step, kill)
        with pytest.raises(KilledError):
            train_model(stopped)
    shutil.rmtree(old)
    resumed(tmp_path / "stopped/run")
    assert_same(content(run), content(tmp_path / "stopped/run"))


def test_stopped_before_it_was_anything(whole_run, tiny_dataset, tmp_path):
    options = config(tiny_dataset, tmp_path, weights=str(whole_run), max_minutes=1e-9)
    with pytest.raises(StoppedError):
        train_model(options)
    shutil.rmtree(tmp_path / "run/checkpoints")
    with pytest.raises(CheckpointError) as caught:
        resumed(tmp_path / "run")
    assert str(caught.value) == (
        f"{tmp_path / 'run'}: was stopped before its first step, with no checkpoint of its first "
        "weights yet. Nothing is lost: remove it, and train again."
    )


def test_defaults_for_fine_tuning():
    given = {"dataset": "d", "weights": "runs/1"}
    for name, value in FINE_TUNING.items():
        assert getattr(TrainConfig.given({"dataset": "d"}), name) != value
        assert getattr(TrainConfig.given(given), name) == value
        assert getattr(TrainConfig.given({**given, name: 0.5}), name) == 0.5


def test_a_file_of_weights_knows_its_classes_from_its_run(whole_run, tiny_dataset, tmp_path):
    options = {**FLAGS, "dataset": str(tiny_dataset)}
    found = dry_run(TrainConfig(weights=str(whole_run / "last.keras"), **options))
    assert found.taken.startswith(f"weights of {whole_run / 'last.keras'}: ")
    assert "classes taken" in found.taken
    alone = str(shutil.copy(whole_run / "best.keras", tmp_path / "alone.keras"))
    assert "its classes were is not known" in dry_run(TrainConfig(weights=alone, **options)).taken
    assert train("export", whole_run, tmp_path / "x.keras", "--format", "keras")[0] == 0
    exported = dry_run(TrainConfig(weights=str(tmp_path / "x.keras"), **options))
    assert "classes taken" in exported.taken


def _words(tmp_path, weights):
    (tmp_path / "no").mkdir()
    (tmp_path / "text.keras").write_text("no model")
    os.symlink(tmp_path / "text.keras", tmp_path / "link.keras")
    os.mkfifo(tmp_path / "pipe.keras")
    model = keras.Sequential([keras.Input((1,)), keras.layers.Lambda(lambda x: x + 1)])
    model.save(tmp_path / "lambda.keras")
    keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)]).save(tmp_path / "one.keras")
    return str(weights) if weights.is_absolute() else str(tmp_path / weights)


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("no", FormatError, "no: no config.json in it, so it is no run."),
        ("gone.keras", FormatError, "gone.keras: no such file. Name a run, or a file that"),
        ("text.keras", FormatError, "text.keras: cannot be loaded as a model. Name a run,"),
        ("link.keras", FormatError, "link.keras: cannot be loaded as a model. Name a run,"),
        ("pipe.keras", FormatError, "pipe.keras: cannot be loaded as a model. Name a run,"),
        ("lambda.keras", FormatError, "lambda.keras: cannot be loaded as a model. Name a run,"),
        ("one.keras", FormatError, "one.keras: its output is no dict by output name"),
    ],
)
def test_what_is_no_network_of_ours(name, kind, message, tiny_dataset, tmp_path):
    path = _words(tmp_path, Path(name))
    with pytest.raises(kind) as caught:
        learn(tiny_dataset, tmp_path / "run", weights=path)
    assert str(caught.value).startswith(f"{tmp_path}/{message}")
    assert not (tmp_path / "run").exists()


def test_a_run_of_another_network_says_which_options_it_has(whole_run, tiny_dataset, tmp_path):
    with pytest.raises(UsageError) as caught:
        learn(tiny_dataset, tmp_path / "run", weights=str(whole_run), model="resnet10", width=1.0)
    assert str(caught.value).endswith("Give --model cnn --width 0.125, as that run has.")
    assert not (tmp_path / "run").exists()


def test_the_command(whole_run, tiny_dataset, tmp_path):
    code, _, err = train(tiny_dataset, "--weights", whole_run, "--run", tmp_path / "run", *SMALL)
    assert code == 0
    assert err[1].startswith(f"train: weights of {whole_run}: ")
    assert RunFolder.open(str(tmp_path / "run")).config()["learning_rate"] == 3e-4
