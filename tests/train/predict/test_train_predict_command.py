"""`train predict` as a command: order, refusals, signals, pipes."""

from __future__ import annotations

import os
import signal
import sys
import time

import pytest
from predict_cases import predict
from train_cases import run_main

from train.errors import RecordError, UsageError
from train.predict.config import PredictConfig
from train.predict.pipeline import predict_images
from train.predict.prefetch import ready_batches
from train.predict.sources.inputs import Sample


def test_order_is_kept_whatever_thread_is_slow():
    def piece(number):
        def load():
            time.sleep(0.02 if number % 3 == 0 else 0)
            return [Sample(path=str(number), image=RecordError(""))]

        return load

    asked = []

    def batches():
        for first in range(0, 40, 4):
            asked.append(first)
            yield [piece(number) for number in range(first, first + 4)]

    ready = ready_batches(batches(), 8)
    found = next(ready)
    assert len(asked) == 3  # no more is under way: memory is bounded
    found += [sample for batch in ready for sample in batch]
    assert [sample.path for sample in found] == [str(number) for number in range(40)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "nothing to read: name image files, folders or globs, or give --manifest or --split."),
        ({"images": ("a",), "manifest": "m"}, "images and --manifest exclude each other: give one "
         "of them."),
        ({"images": ("a",), "split": "test"}, "images and --split or --dataset exclude each other: "
         "give one of them."),
        ({"images": ("a",), "root": "/"}, "--root needs --manifest: only its paths are relative to "
         "a folder."),
        ({"images": ("a",), "top_k": -1}, "--top-k must be at least 0, got -1."),
        ({"images": ("a",), "threshold": 1.5}, "--threshold must be in [0, 1], got 1.5."),
        (
            {"images": ("a",), "threshold": float("nan")},
            "--threshold must be in [0, 1], got nan.",
        ),
        (
            {"images": ("a",), "threshold": 0.5, "accept": 0.9},
            "--threshold and --accept exclude each other: give one of them.",
        ),
        (
            {"images": ("a",), "accept": 1.0},
            "--accept must be above 0% and below 100%, got 100%: no number of records proves that "
            "all are right.",
        ),
        ({"images": ("a",), "batch_size": 0}, "--batch-size must be at least 1, got 0."),
        ({"images": ("a",), "workers": 0}, "--workers must be at least 1, got 0."),
        ({"images": ("a",), "format": "xml"}, "--format cannot be 'xml'."),
        ({"images": ("a",), "output": "no/where"}, "no/where: no folder no. Make it, or name "
         "another --output."),
        ({"images": ("a",), "output": "."}, ".: exists and is no file. Name another --output."),
    ],
)  # fmt: skip
def test_refusals(options, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as caught:
        PredictConfig(**options)
    assert str(caught.value) == message


def test_a_dataset_that_does_not_fit_is_refused(untrained_run, small_dataset, tmp_path):
    with pytest.raises(UsageError, match="its image size"):
        predict(untrained_run, tmp_path, dataset=str(small_dataset))


def test_a_failed_output_leaves_nothing(untrained_run, sample_files, tmp_path, monkeypatch):
    output = tmp_path / "out.csv"
    output.write_text("older", encoding="utf-8")

    def read(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("train.predict.network.BatchReader.read", read)
    with pytest.raises(KeyboardInterrupt):
        config = PredictConfig(images=(sample_files[0],), output=str(output), overwrite=True)
        predict_images(untrained_run, config)
    assert os.listdir(tmp_path) == ["out.csv"]
    assert output.read_text(encoding="utf-8") == "older"


def test_a_closed_pipe_ends_quietly(untrained_run, sample_files, monkeypatch, capfd):
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w", encoding="utf-8") as stdout:
        monkeypatch.setattr("sys.stdout", stdout)
        assert run_main("predict", untrained_run.path, *sample_files) == 141
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["SIGTERM", "Ctrl-C"]
)
def test_a_signal_ends_with_one_line(number, code, untrained_run, sample_files, monkeypatch, capfd):
    monkeypatch.setattr(
        "train.predict.network.BatchReader.read", lambda *_: os.kill(os.getpid(), number)
    )
    monkeypatch.setattr("os._exit", sys.exit)  # this process goes on
    # A job in the background inherits a SIGINT that is ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert run_main("predict", untrained_run.path, *sample_files) == code
    finally:
        signal.signal(signal.SIGINT, before)
    assert capfd.readouterr().err == "train: stopped.\n"


@pytest.mark.parametrize(
    ("share", "message"),
    [
        ("much", "argument --accept: 'much' is no share, such as 99.5%"),
        ("99.5", "--accept must be above 0% and below 100%, got 9950%: no number of records"),
        ("95%", "cannot say from which confidence 95% are exact: nothing was fitted yet; "),
        ("0.95", "cannot say from which confidence 95% are exact: nothing was fitted yet; "),
    ],
)
def test_a_share_as_people_write_it(share, message, untrained_run, capfd):
    assert run_main("predict", untrained_run.path, "a.png", "--accept", share) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert message in line
