"""Trainings with and without TensorBoard's files, whole and resumed, some seconds each."""

from __future__ import annotations

import signal
from collections import defaultdict

import pytest
from event_cases import read_points
from resume_cases import assert_same, at_step, config, content, resumed, send

from train.errors import StoppedError
from train.hosts import sharded
from train.training.callbacks import recorder
from train.training.callbacks.board import collected_histograms
from train.training.callbacks.board.writer import Board
from train.training.resuming.resume import resume_training
from train.training.start import train_model

pytestmark = pytest.mark.usefixtures("cached_model", "counting_clock")


@pytest.mark.long
def test_training_is_the_same_without_it(whole_run, tiny_dataset, tmp_path, monkeypatch):
    """Weights, optimizer, metrics, dropout's seeds and models, bit for bit."""
    for name in ("on_train_begin", "on_epoch_begin", "on_train_batch_end", "on_epoch_end"):
        monkeypatch.setattr(Board, name, lambda *_, **__: None)
    train_model(config(tiny_dataset, tmp_path))
    with_it, without = content(whole_run), content(tmp_path / "run")
    assert with_it.pop("points") and not without.pop("points")
    assert_same(with_it, without)


def test_steps_go_on_after_a_resume(whole_run, tiny_dataset, tmp_path, monkeypatch):
    """Stopped amid the second of three epochs of 11 steps, and amid its validation."""
    monkeypatch.setattr(collected_histograms, "_SHARE", 1e9)  # at each epoch's end
    with monkeypatch.context() as patched:
        at_step(patched, 15, send(signal.SIGTERM))
        with pytest.raises(StoppedError):
            train_model(config(tiny_dataset, tmp_path))
    run, real = tmp_path / "run", sharded.evaluate_shared

    def stopped(*arguments):
        send(signal.SIGTERM)()
        return real(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(recorder, "evaluate_shared", stopped)
        with pytest.raises(StoppedError, match="in epoch 2 after step 11;"):
            resume_training(str(run), {})
    resumed(run)
    assert len(list((run / "events").iterdir())) == 3
    steps = defaultdict(list)
    for tag, step, _ in read_points(run):
        steps[tag].append(step)
    for tag, found in steps.items():
        group = tag.partition("/")[0]
        if group in ("training_images", "run", "custom_scalars__config__"):
            assert found == [0], tag
        elif group in ("train", "speed"):
            assert found == [10, 11, 20, 22, 30, 33], tag
        else:
            assert found == [11, 22, 33], tag

    def at_the_end(run):
        """Returns the histograms of what is no mean over steps."""
        return {
            tag: value.SerializeToString()
            for tag, step, value in read_points(run)
            if step == 33 and tag.startswith(("weights/", "weights_activations/"))
        }

    assert at_the_end(run) == at_the_end(whole_run) != {}
