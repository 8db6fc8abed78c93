"""`--augment-on`: where images are changed, on no bit of which the result depends."""

from __future__ import annotations

import json
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest
from jax_cases import on_jax
from ranks import compiled
from resume_cases import FLAGS, assert_same, content, weights, words_of
from train_cases import BASE, learn

from train.config import TrainConfig
from train.errors import UsageError
from train.input import augmentation_place
from train.input.augmentation_place import fed_batches
from train.input.numpy_dataset import NumpyDataset
from train.input.open_source import open_source
from train.input.tf_dataset import as_tf_dataset
from train.model.device_augmentation.augment import augment_on_device
from train.records.augmentation_draws import STRENGTHS
from train.training.job import Job
from train.training.resuming.resume import resume_training
from train.training.start import _opening


def source_of(dataset, augment="strong", **options):
    return open_source(str(dataset), "train", 20, 3, augment=augment, **options)


@pytest.mark.parametrize(
    ("augment", "augment_on", "accelerator", "on_device"),
    [
        ("default", "auto", True, True),
        ("default", "auto", False, False),  # there the host is faster
        ("default", "host", True, False),
        ("default", "device", False, True),
        ("none", "auto", True, False),
        ("none", "device", True, False),
        ("tests:f", "auto", True, False),  # only Python can call it
    ],
)
def test_where_images_are_changed(
    augment, augment_on, accelerator, on_device, tiny_dataset, monkeypatch
):
    monkeypatch.setattr(augmentation_place, "on_accelerator", lambda: accelerator)
    function = (lambda images, draws: images) if augment == "tests:f" else augment
    fed = fed_batches(source_of(tiny_dataset, function), augment, augment_on)
    assert (fed.device_strength is not None) == on_device


@pytest.mark.parametrize("options", [{}, {"rank": 1, "num_ranks": 2}, {"labels": "array"}])
def test_batches_carry_what_the_device_does(options, tiny_dataset):
    """A group of batches at once, through NumPy and tf.data, of a rank: always the host's bytes."""
    host = source_of(tiny_dataset, **options)
    fed = fed_batches(host, "strong", "device")
    through = zip(NumpyDataset(fed, epoch=1), as_tf_dataset(fed, epoch=1), strict=True)
    for step, (((images, changes), labels), element) in enumerate(through):
        (tensor, numbers), _ = element
        np.testing.assert_array_equal(tensor, images)
        np.testing.assert_array_equal(numbers, changes)
        expected, expected_labels = host.element(host.batch(1, step))
        np.testing.assert_array_equal(augment_on_device(images, changes), expected)
        np.testing.assert_equal(labels, expected_labels)
    assert step == host.num_steps - 1
    shapes = [tuple(spec.shape) for spec in as_tf_dataset(fed).element_spec[0]]
    assert shapes == [images.shape, changes.shape]


def test_a_run_that_moves_to_a_device_ends_as_one_that_did_not(
    whole_run, tiny_dataset, tmp_path, monkeypatch
):
    run, on_device = tmp_path / "run", Mock(wraps=augment_on_device)
    monkeypatch.setattr("train.model.device_augmentation.augment.augment_on_device", on_device)
    learn(tiny_dataset, run, **FLAGS, augment="default", target="character_accuracy=0.0001")
    assert not on_device.called
    resume_training(str(run), {"augment_on": "device", "target": "exact=1"})
    assert on_device.called
    for name in ("best.keras", "last.keras", "last_raw.keras"):
        assert_same(weights(whole_run / name), weights(run / name))
    assert json.loads((run / "config.json").read_text())["augment_on"] == "device"


@pytest.mark.long
def test_on_jax_a_run_that_moves_ends_as_one_that_was_there(tiny_dataset, tmp_path):
    pytest.importorskip("jax", reason="jax is not installed")
    words = ["train", tiny_dataset, *words_of({**FLAGS, "epochs": 2, "augment": "strong"})]
    env = compiled(tmp_path / "compiled")
    for run, where, target in (
        ("whole", "device", "exact=1"),
        ("run", "host", "character_accuracy=0.0001"),
    ):
        more = ("--run", tmp_path / run, "--augment-on", where, "--target", target)
        done = on_jax("-m", *words, *more, env=env)
        assert done.returncode == 0, done.stderr
    more = ("--augment-on", "device", "--target", "exact=1")
    done = on_jax("-m", "train", "resume", tmp_path / "run", *more, env=env)
    assert done.returncode == 0, done.stderr
    assert_same(content(tmp_path / "whole"), content(tmp_path / "run"))


@pytest.mark.parametrize(
    ("augment", "augment_on", "message"),
    [
        (
            "mine:darken",
            "device",
            "--augment-on device: mine:darken is a function of your own, which only the host can "
            "call. Use --augment-on host, or one of the strengths light, default, strong.",
        ),
        ("light", "gpu", "--augment-on must be one of auto, host, device, got 'gpu'."),
    ],
)
def test_what_cannot_be_asked_for(augment, augment_on, message):
    with pytest.raises(UsageError) as refused:
        TrainConfig(dataset="strips", augment=augment, augment_on=augment_on)
    assert str(refused.value) == message


def test_what_is_shown_was_changed_on_the_host(tiny_dataset):
    """The board's pictures, a dry run's and a diverged batch are those of `Job.training`."""
    config = TrainConfig(
        dataset=str(tiny_dataset), **{**BASE, "augment": "light"}, augment_on="device"
    )
    job = Job.open(config)
    assert job.training.device_strength is None
    assert job.fed.device_strength == STRENGTHS["light"]
    assert _opening(job, SimpleNamespace(address="run")).endswith("; augmented on the device")
