"""Training on Keras' JAX backend: fed by threads of our own, killed and resumed bit for bit."""

from __future__ import annotations

from pathlib import Path

import pytest
from event_cases import steps_of
from jax_cases import on_jax
from ranks import compiled
from resume_cases import FLAGS, assert_same, content, words_of

SCRIPT = Path(__file__).parents[2] / "support" / "killed_training.py"


@pytest.fixture(scope="module", autouse=True)
def jax():
    pytest.importorskip("jax", reason="jax is not installed")


@pytest.mark.long
def test_a_killed_run_ends_as_if_it_had_not_been(tiny_dataset, tmp_path):
    words = [tiny_dataset, *words_of(FLAGS), "--run"]
    whole = on_jax(SCRIPT, "kill", 1_000, *words, tmp_path / "whole")
    assert whole.returncode == 0, whole.stderr
    killed = on_jax(SCRIPT, "kill", 17, *words, tmp_path / "run")
    assert killed.returncode == -9, killed.stderr
    resumed = on_jax("-m", "train", "resume", tmp_path / "run")
    assert resumed.returncode == 0, resumed.stderr
    assert "goes on in epoch 2/3" in resumed.stderr
    assert_same(content(tmp_path / "whole"), content(tmp_path / "run"))
    for run in (tmp_path / "whole", tmp_path / "run"):
        assert steps_of(run, "train/gradient_norm") == [11, 22, 33]  # amid an epoch out of reach
        assert steps_of(run, "weights_gradient_norms/stem_conv/kernel")[-1] == 33
        assert steps_of(run, "weights_activations/stem_conv")[-1] == 33
    environment = (tmp_path / "run" / "environment.json").read_text()
    assert '"backend": "jax"' in environment


@pytest.mark.long
def test_a_run_that_begins_with_other_weights(tiny_dataset, tmp_path):
    """On JAX a step gives its buffers up: the average must not share them with the weights."""
    words = [tiny_dataset, *words_of({**FLAGS, "epochs": 1})]
    for more in (
        ["--run", tmp_path / "old"],
        ["--run", tmp_path / "new", "--weights", tmp_path / "old"],
    ):
        done = on_jax("-m", "train", *words, *more, env=compiled(tmp_path / "compiled"))
        assert done.returncode == 0, done.stderr
    assert "weights of " in done.stderr


def test_tensorflow_is_not_loaded(tiny_dataset):
    """Where the backend is another, nothing of ours may load it, nor Keras for its seed."""
    code = """
import sys
from train.config import TrainConfig
from train.training.job import Job
from train.input.clock import InputClock
from train.input.feed import feed
from train.input.open_source import open_source
batches = feed(open_source(sys.argv[1], "train", 8), epoch=0, start_step=2, clock=InputClock())
Job.open(TrainConfig(dataset=sys.argv[1], model="cnn", width=0.05)).model()
print(type(batches).__name__, len(batches), "tensorflow" in sys.modules)
"""
    done = on_jax("-c", code, tiny_dataset)
    assert done.stdout == "BatchDataset 9 False\n", done.stderr


def test_the_average_is_that_of_numpy():
    done = on_jax(SCRIPT.parent / "training" / "averaged_training.py")
    assert done.stdout == "jax 8\n", done.stderr
