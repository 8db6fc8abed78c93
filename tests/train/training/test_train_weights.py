"""`train fit --weights`: begins where another run ended, and needs that run no more."""

from __future__ import annotations

import hashlib
import os
import shutil

import keras
import numpy as np
import pytest
from resume_cases import FLAGS, assert_same, at_step, config, content, resumed
from train_cases import SMALL, train

from train.config import FINE_TUNING, TrainConfig
from train.errors import CheckpointError, FormatError, StoppedError, UsageError
from train.runs.folder import RunFolder
from train.training.job import Job
from train.training.old_weights import with_weights
from train.training.start import train_model

pytestmark = pytest.mark.usefixtures("cached_model")


def begun(dataset, weights, **options):
    """Returns a job, its model with other weights, and the line about them."""
    job = Job.open(TrainConfig(**{**FLAGS, "dataset": str(dataset), "weights": weights, **options}))
    model = job.model()
    return *with_weights(job, model), model


def test_the_first_weights_are_the_others(whole_run, tiny_dataset):
    job, line, model = begun(tiny_dataset, str(whole_run))
    assert line.startswith(f"weights of {whole_run}: ") and "new: " not in line
    theirs = RunFolder.open(str(whole_run)).load_model().get_weights()
    for ours in (model.average, keras.Model(model.input, model.output)):
        for one, other in zip(ours.get_weights(), theirs, strict=True):
            np.testing.assert_array_equal(one, other)
    digest = hashlib.sha256((whole_run / "best.keras").read_bytes()).hexdigest()
    assert (job.options["weights"], job.options["weights_digest"]) == (str(whole_run), digest)


def test_a_link_to_a_file(whole_run, tiny_dataset, tmp_path):
    (tmp_path / "link.keras").symlink_to(whole_run / "best.keras")
    _, line, _ = begun(tiny_dataset, str(tmp_path / "link.keras"))
    assert line.startswith(f"weights of {tmp_path}/link.keras: ")


@pytest.fixture(scope="module")
def uninterrupted(whole_run, tiny_dataset, tmp_path_factory, one_model):
    """A run with the weights of `old`, and that run's folder."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    shutil.copytree(whole_run, folder / "old")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Job, "model", lambda job: one_model(job))
        train_model(options(tiny_dataset, folder, folder / "old"))
    return folder


def options(dataset, folder, old):
    return config(dataset, folder, weights=str(old), checkpoint_minutes=9.0, epochs=2)


class KilledError(BaseException):
    """Ends a training at once: no handler writes a checkpoint."""


@pytest.mark.parametrize("step", [1, 14])
def test_a_resume_needs_no_other_run(step, uninterrupted, tiny_dataset, tmp_path, monkeypatch):
    """Also after a kill before the first checkpoint that training itself would have written."""

    def kill():
        raise KilledError

    with monkeypatch.context() as patched:
        at_step(patched, step, kill)
        with pytest.raises(KilledError):
            train_model(options(tiny_dataset, tmp_path, uninterrupted / "old"))
    hidden = (uninterrupted / "old").rename(uninterrupted / "hidden")
    resumed(tmp_path / "run")
    hidden.rename(uninterrupted / "old")
    assert_same(content(uninterrupted / "run"), content(tmp_path / "run"))


def test_stopped_before_it_was_anything(whole_run, tiny_dataset, tmp_path):
    with pytest.raises(StoppedError):
        train_model(config(tiny_dataset, tmp_path, weights=str(whole_run), max_minutes=1e-9))
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
    path = str(whole_run / "last.keras")
    line = begun(tiny_dataset, path)[1]
    assert line.startswith(f"weights of {path}: ") and "classes taken" in line
    alone = str(shutil.copy(path, tmp_path / "alone.keras"))
    assert "its classes were is not known" in begun(tiny_dataset, alone)[1]
    output = tmp_path / "x"
    code, _, err = train("export", whole_run, "--to", "keras", "--output", output)
    assert code == 0, err
    assert "classes taken" in begun(tiny_dataset, f"{output}.keras")[1]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no", "no config.json in it, so it is no run."),
        ("gone.keras", "no such file. Name a run, or a file that"),
        ("text.keras", "cannot be loaded as a model. Name a run,"),
        ("link.keras", "cannot be loaded as a model. Name a run,"),
        ("pipe.keras", "cannot be loaded as a model. Name a run,"),
        ("lambda.keras", "cannot be loaded as a model. Name a run,"),
        ("one.keras", "its output is no dict by output name"),
    ],
)
def test_what_is_no_network_of_ours(name, message, tiny_dataset, tmp_path):
    (tmp_path / "no").mkdir()
    (tmp_path / "text.keras").write_text("no model")
    os.symlink(tmp_path / "text.keras", tmp_path / "link.keras")
    os.mkfifo(tmp_path / "pipe.keras")
    layers = {"lambda": keras.layers.Lambda(lambda x: x + 1), "one": keras.layers.Dense(1)}
    for file, layer in layers.items():
        keras.Sequential([keras.Input((1,)), layer]).save(tmp_path / f"{file}.keras")
    with pytest.raises(FormatError) as caught:
        begun(tiny_dataset, str(tmp_path / name))
    assert str(caught.value).startswith(f"{tmp_path / name}: {message}")


def test_a_run_of_another_network_says_which_options_it_has(
    whole_run, tiny_dataset, tmp_path, monkeypatch
):
    monkeypatch.undo()  # the network that is asked for
    with pytest.raises(UsageError) as caught:
        train_model(
            config(tiny_dataset, tmp_path, weights=str(whole_run), model="resnet10", width=1.0)
        )
    assert str(caught.value).endswith("Give --model cnn --width 0.125, as that run has.")
    assert not (tmp_path / "run").exists()


def test_the_command(whole_run, tiny_dataset, tmp_path):
    code, _, err = train(tiny_dataset, "--weights", whole_run, "--run", tmp_path / "run", *SMALL)
    assert code == 0, err
    assert err[1].startswith(f"train: weights of {whole_run}: ")
    stored = RunFolder.open(str(tmp_path / "run")).config()
    assert {name: stored[name] for name in FINE_TUNING} == FINE_TUNING
