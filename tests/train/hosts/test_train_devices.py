"""Several devices of one process share each batch."""

from __future__ import annotations

import subprocess
import sys

import pytest
from convert_cases import ROOT
from ranks import environment

from train.config import TrainConfig
from train.errors import MismatchError, UsageError
from train.hosts import devices
from train.hosts.devices import device_lines, require_even, sharing
from train.hosts.sharded import _rounds
from train.hosts.team import Team
from train.runs.environment import differences
from train.runs.environment import environment as versions
from train.training.dry_run.dry_run import dry_run
from train.training.same_options import require_equal
from train.training.start import train_model

SCRIPT = ROOT / "tests" / "support" / "training" / "shared_training.py"


@pytest.fixture
def four(monkeypatch):
    """What the user is told where there are four."""
    monkeypatch.setattr(devices, "num_devices", lambda: 4)
    monkeypatch.setattr(devices.keras.backend, "backend", lambda: "jax")


def test_four_devices_train_and_predict_as_one():
    """A script of its own: JAX has its devices from its start. It compares every bit."""
    command = [sys.executable, SCRIPT]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment(devices=4)
    )
    assert done.stdout == "4 101\n", done.stderr


@pytest.mark.parametrize(
    ("flag", "batch_size", "sizes"),
    [("--batch-size", 30, "28 and 32"), ("--batch-size", 3, "4"), ("--overfit", 10, "8 and 12")],
)
def test_a_batch_that_does_not_divide(four, flag, batch_size, sizes):
    with pytest.raises(UsageError) as caught:
        require_even(flag, batch_size)
    assert str(caught.value) == (
        f"{flag} {batch_size} cannot be shared evenly by 4 devices; {sizes} can. Or let it see "
        "fewer devices, for example with CUDA_VISIBLE_DEVICES."
    )
    require_even(flag, 32)


@pytest.mark.parametrize("begin", [train_model, dry_run])
def test_it_is_refused_before_anything_is_written(begin, four, tiny_dataset, tmp_path):
    run = tmp_path / "run"
    with pytest.raises(UsageError, match=r"^--batch-size 30 cannot be shared evenly by 4 devices"):
        begin(TrainConfig(dataset=str(tiny_dataset), run=str(run), batch_size=30))
    assert not run.exists()


def test_what_is_told_of_devices(four, monkeypatch):
    assert device_lines(256) == ["4 devices: each makes 64 of a step's 256 images"]
    assert device_lines(256, "2 processes of Slurm") == [
        "2 processes of Slurm, 4 devices: each makes 64 of a step's 256 images"
    ]
    assert device_lines(32)[1:] == [
        "8 images keep a device busy for less time than a step needs to start: --batch-size 64 or "
        "more may be faster"
    ]
    assert len(device_lines(64)) == 1
    monkeypatch.setattr(devices, "num_devices", lambda: 1)
    assert device_lines(32) == []


@pytest.mark.parametrize(("gpus", "lines"), [(0, 0), (1, 0), (2, 1)])
def test_tensorflow_uses_one_gpu(monkeypatch, gpus, lines):
    monkeypatch.setattr(
        devices.keras.distribution,
        "list_devices",
        lambda kind: [f"{kind}:{i}" for i in range(gpus)],
    )
    assert device_lines(32) == ["uses one of 2 GPUs; KERAS_BACKEND=jax uses all"] * lines
    with sharing():  # nothing to share
        assert devices.keras.distribution.distribution() is None


def test_another_number_of_devices_is_told_when_a_run_goes_on():
    now = versions()
    assert now["devices"] == 1
    assert differences({**now, "devices": 4}, now) == ["devices 1, was 4"]
    del (then := dict(now))["devices"]  # of a run from before
    assert not differences(then, now)


@pytest.mark.parametrize(
    ("num_steps", "rounds"),
    [
        (3, [[(0, 2), (2, 3)]]),
        (5, [[(0, 2), (2, 4)], [(4, 5), (5, 5)]]),  # as many rounds for each
        (1, [[(0, 1), (1, 1)]]),
    ],
)
def test_batches_are_dealt_to_ranks(num_steps, rounds):
    dealt = [[(r.start, r.stop) for r in steps] for steps in _rounds(num_steps, 2, 2)]
    assert dealt == rounds


def test_processes_that_were_started_differently():
    with pytest.raises(MismatchError) as caught:
        require_equal({"epochs": 3, "shares": (1, 2)}, {"epochs": 2, "shares": [1, 2]}, Team(1, 2))
    assert str(caught.value) == (
        "the processes of this team were started with different options.\n"
        "  epochs of rank 0:  2\n"
        "  epochs of rank 1:  3\n"
        "Start all of them by the same command, on the same dataset."
    )
    require_equal({"shares": (1, 2)}, {"shares": [1, 2]}, Team(1, 2))
