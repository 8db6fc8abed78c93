"""`train bench` from end to end, and what its measurements are of."""

from __future__ import annotations

import itertools
import json
import os
import re
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from conftest import SAMPLE
from train_cases import train

from convert import ConvertConfig
from convert.dataset.read import open_dataset
from convert.job import convert_dataset
from train.bench.batches import in_memory, open_training
from train.bench.config import BenchConfig
from train.bench.speed import Speed
from train.errors import UsageError
from train.input.open_source import open_source

SPEEDS = [
    "from_disk", "reader_first_epoch", "reader", "reader_not_augmented", "reader_arrays",
    "model_alone", "together",
]  # fmt: skip
LABELS = [
    "from disk, as arrays", "reader, first epoch", "reader", "reader, --no-augment",
    "reader, as arrays", "model, on one batch", "both together",
]  # fmt: skip


@pytest.fixture(scope="module")
def bench(small_dataset, tmp_path_factory):
    """Lines on stdout and JSON of a short one, run in an empty folder."""
    folder = tmp_path_factory.mktemp("bench")
    flags = ("--batch-size", 16, "--model", "cnn", "--seconds", 0.1, "--json")
    code, stdout, stderr = train("bench", small_dataset, *flags, cwd=folder)
    assert (code, stderr) == (0, [])
    assert list(folder.iterdir()) == []  # it writes nothing
    return stdout[:-1], json.loads(stdout[-1])


def labels(stdout: list[str]) -> list[str]:
    """Returns the first column of the printed table."""
    start = next(i for i, line in enumerate(stdout) if line.endswith("CPU us/image")) + 1
    return [line[:22].strip() for line in stdout[start : stdout.index("", start)]]


def test_each_part_has_a_line(bench, small_dataset):
    stdout, found = bench
    assert stdout[0] == (
        f"{small_dataset}: 90 raw images 128x32x3 to train on, 1.1 MB; batches of 16, augmented"
    )
    # Who else computes on the machine takes a part of every number.
    assert re.fullmatch(
        r"Keras on tensorflow, .pu:0; \d+ CPU cores?; load average [\d.]+; "
        r"up to 0.1 s a measurement", stdout[1],
    )  # fmt: skip
    assert labels(stdout) == LABELS
    assert stdout[-1] == found["sentence"]
    assert f"input wait {found['together']['input_wait']:.1%}" in stdout[-3]


def test_the_json_has_every_number(bench, small_dataset):
    _, found = bench
    assert (found["dataset"], found["records"]) == (str(small_dataset), 90)
    assert (found["record_bytes"], found["window"]) == (12379, 90)
    for name in SPEEDS:
        speed = found[name]
        assert speed["images"] % 16 == 0
        assert speed["images_per_second"] == pytest.approx(speed["images"] / speed["seconds"])
        assert speed["cpu_microseconds_per_image"] > 0
    assert found["from_disk"]["images"] <= 80  # of one epoch, which drops the remainder
    assert found["from_disk"]["page_cache_dropped"] is hasattr(os, "posix_fadvise")
    assert 0 <= found["together"]["input_wait"] <= 1
    assert found["bottleneck"] in ("model", "reader", "cpu")
    assert found["feeds_images_per_second"] == found["reader"]["images_per_second"]


def test_each_flag_is_used(small_dataset, tmp_path):
    given = {"batch_size": 10, "window": 20, "seed": 3, "head": "separate", "seconds": 0.05}
    flags = [word for name, value in given.items() for word in (f"--{name}", value)]
    flags = [str(flag).replace("_", "-") for flag in flags]
    words = (small_dataset, *flags, "--model", "cnn", "--no-augment", "--json")
    code, stdout, _ = train("bench", *words, cwd=tmp_path)
    found = json.loads(stdout[-1])
    assert code == 0
    assert {name: found[name] for name in given} == given
    assert (found["model"], found["augment"], found["reader_not_augmented"]) == (
        "cnn", "none", None,
    )  # fmt: skip
    assert found["from_disk"]["images"] % 10 == 0
    assert stdout[0].endswith("batches of 10, not augmented")
    assert labels(stdout) == [label for label in LABELS if label != "reader, --no-augment"]


def only_validation(path: Path, manifest: Path) -> Path:
    config = ConvertConfig(
        manifest=str(manifest), dataset=str(path), root=str(SAMPLE), crop=(186, 0, 300, 30),
        size=(32, 16), split=(("validation", 1.0),), split_column=None, workers=1,
    )  # fmt: skip
    convert_dataset(config)
    return path


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["nowhere"], 1, "nowhere: no such dataset folder. Make it with `convert MANIFEST "
         "DATASET`."),
        (["held-out"], 2, "held-out: no split 'train'; the dataset has validation."),
        (["strips", "--batch-size", "91"], 2, "strips: the split 'train' has 90 records, fewer "
         "than one batch; --batch-size must be at most 90, got 91."),
        (["strips", "--seconds", "0"], 2, "--seconds must be in (0, 3600], got 0."),
        (["strips", "--window", "0"], 2, "--window must be at least 1, got 0."),
    ],
)  # fmt: skip
def test_errors_are_one_line(words, code, message, small_dataset, forty_rows, tmp_path):
    (tmp_path / "strips").symlink_to(small_dataset)
    if "held-out" in words:
        only_validation(tmp_path / "held-out", forty_rows)
    assert train("bench", *words, cwd=tmp_path) == (code, [], [f"train: error: {message}"])


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"batch_size": 0}, "--batch-size must be at least 1, got 0."),
        ({"seed": -1}, "--seed must be in [0, 2**32), got -1."),
        ({"seconds": 3601.0}, "--seconds must be in (0, 3600], got 3601."),
        ({"seconds": float("nan")}, "--seconds must be in (0, 3600], got nan."),
    ],
)
def test_options_are_validated(option, message):
    with pytest.raises(UsageError) as raised:
        BenchConfig(dataset="strips", **option)
    assert str(raised.value) == message


def test_the_reader_is_measured_in_each_of_its_ways(small_dataset, monkeypatch):
    """What tells the lines of the table apart: CRCs compared again, and augmentation."""
    from train.bench.measurements import reader_speeds  # loads Keras

    config, asked = BenchConfig(dataset=str(small_dataset), seconds=0.01), []

    dataset = open_dataset(config.dataset)

    def delivery(source, seconds):
        with monkeypatch.context() as patch:
            compare = Mock(side_effect=lambda heads, *_: np.zeros(len(heads), bool))
            patch.setattr("train.records.reading.batch_crcs.BatchCrcs.wrong", compare)
            source.batch(0, 0)
        asked.append((compare.called, source.augment is not None))
        return Speed(images=1, seconds=1.0, cpu_seconds=1.0)

    monkeypatch.setattr("train.bench.measurements.time_delivery", delivery)
    source = in_memory(open_training(config, dataset), None, 60.0)
    names = [name for name, _ in reader_speeds(config, dataset, source)]
    assert asked == [(True, True), (False, True), (False, False)]
    assert names == SPEEDS[1:5]


def test_without_tensorflow_threads_of_our_own_deliver(small_dataset, monkeypatch):
    """What other frameworks are fed with: epoch after epoch, or one batch again and again."""
    from train.bench import framework  # loads Keras

    monkeypatch.setattr("keras.backend.backend", lambda: "jax")
    monkeypatch.setattr(framework, "as_tf_dataset", None)
    source = open_source(small_dataset, "train", 30)
    assert framework.time_delivery(source, 0.0).images == 30
    delivered = itertools.islice(framework._endless(source), 7)
    for (images, _), place in zip(
        delivered, itertools.product(range(3), range(source.num_steps)), strict=False
    ):
        assert np.array_equal(images, source.batch(*place)[0])
    for images, labels in itertools.islice(framework.one_batch(source), 3):
        assert np.array_equal(images, source.batch(0, 0)[0])
        assert list(labels) == ["y0", "y1", "y2", "y3"]
