"""`train export`: what stands there already, what reads otherwise, and all that cannot be done."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from reading_cases import untrained_run as make_run

from convert.storage.places import sha256_file
from train.errors import ShardfeedError, TryAgainError, UsageError
from train.export import config as export_config
from train.export.config import ExportConfig
from train.export.formats import FORMATS
from train.export.parity import Expected, compare
from train.export.write_and_check import export_run


@pytest.fixture
def keras_export(untrained_run, tmp_path):
    """A function that exports to one `.keras` file, which takes least time."""

    def export(run=untrained_run, name="keras", **options):
        options.setdefault("output", str(tmp_path / "out" / "reader"))
        return export_run(run, ExportConfig(formats=(name,), **options))

    return export


def test_another_network_is_refused_and_replaced_on_request(
    keras_export, untrained_run, tiny_dataset, tmp_path
):
    import keras

    other = untrained_run_with(keras, untrained_run, tiny_dataset, tmp_path / "other")
    keras_export()
    with pytest.raises(UsageError) as caught:
        keras_export(other)
    about = tmp_path / "out" / "reader.json"
    remedy = "Name another --output, or replace it with --overwrite."
    assert str(caught.value) == f"{about}: describes another network. {remedy}"
    first = (tmp_path / "out" / "reader.keras").read_bytes()
    (export,) = keras_export(other, overwrite=True)
    assert not export.was_there
    assert (tmp_path / "out" / "reader.keras").read_bytes() != first
    assert json.loads(about.read_text())["weights_sha256"] == sha256_file(other.file("best.keras"))
    about.unlink()
    with pytest.raises(UsageError, match=r"exists, and no reader\.json beside it"):
        keras_export(other)


def untrained_run_with(keras, run, dataset, folder):
    """Returns a run whose network has one weight changed."""
    other = make_run(folder, dataset)
    model = run.load_model()
    damage(model)
    other.save_model(model, "best.keras")
    return other


def damage(model) -> None:
    """Changes a few weights of a network so that it reads otherwise."""
    kernel = model.trainable_variables[0]
    kernel.assign(np.asarray(kernel) * 1.5)


def test_a_foreign_thing_is_left_alone(keras_export, tmp_path):
    (tmp_path / "out" / "reader.keras").mkdir(parents=True)
    with pytest.raises(UsageError, match="exists and is no export, so it is left alone"):
        keras_export(overwrite=True)


def test_an_export_that_was_spoilt_is_told(keras_export, tmp_path):
    """It is there, it is described as ours, and it reads otherwise."""
    import keras

    keras_export()
    path = tmp_path / "out" / "reader.keras"
    model = keras.models.load_model(path, compile=False)
    damage(model)
    model.save(path)
    with pytest.raises(UsageError, match="gives other results than the run: probabilities"):
        keras_export()


@pytest.mark.parametrize("name", ["keras", "onnx"])
def test_an_export_that_reads_otherwise_never_appears(name, keras_export, tmp_path, monkeypatch):
    def with_other_weights(model):
        import keras

        from train.model.probabilities import with_probabilities

        other = keras.models.clone_model(model)
        other.set_weights(model.get_weights())
        damage(other)
        return with_probabilities(other)

    monkeypatch.setattr("train.export.write_and_check.with_probabilities", with_other_weights)
    with pytest.raises(ShardfeedError) as caught:
        keras_export(name=name)
    pattern = (
        r".*: not written, since it gives other results than the run: probabilities differ by at "
        r"most \d\.\de.\d\d, \d+ texts differ, where 0.001 is allowed. Export to another format\."
    )
    assert re.fullmatch(pattern, str(caught.value))
    assert caught.value.exit_code == 1
    assert os.listdir(tmp_path / "out") == []


@pytest.mark.parametrize(
    ("ours", "holds", "texts", "sure"),
    [
        ([0.7, 0.3], True, 0, 0),
        ([0.7005, 0.2995], True, 0, 0),
        ([0.702, 0.298], False, 0, 0),
        ([0.3, 0.7], False, 1, 1),
        ([np.nan, 0.3], False, 0, 0),
    ],
)
def test_what_parity_allows(ours, holds, texts, sure):
    theirs = {"y0": np.array([[0.7, 0.3]], np.float32)}
    images = np.zeros((1, 1, 1, 3), np.uint8)
    expected = Expected(split="train", images=images, probabilities=theirs)
    parity = compare(expected, lambda batch: {"y0": np.array([ours], np.float32)})
    assert (parity.holds, parity.texts, parity.sure_texts) == (holds, texts, sure)


def test_texts_that_were_a_toss_up_may_differ():
    theirs = {"y0": np.array([[0.5002, 0.4998]], np.float32)}
    images = np.zeros((1, 1, 1, 3), np.uint8)
    expected = Expected(split="train", images=images, probabilities=theirs)
    parity = compare(expected, lambda batch: {"y0": np.array([[0.4999, 0.5001]], np.float32)})
    assert (parity.holds, parity.texts, parity.sure_texts) == (True, 1, 0)
    assert str(parity) == "probabilities differ by at most 3.0e-04, 1 text differs"


def test_a_network_that_cannot_be_converted_is_one_line(keras_export, tmp_path, monkeypatch):
    def write(*_):
        raise RuntimeError("no such op\nand a long story")

    broken = FORMATS["tflite"]._replace(write=write)
    monkeypatch.setitem(FORMATS, "tflite", broken)
    with pytest.raises(ShardfeedError) as caught:
        keras_export(name="tflite")
    assert str(caught.value) == (
        "the network cannot be written as tflite: RuntimeError: no such op"
    )
    assert os.listdir(tmp_path / "out") == []


def test_a_file_that_its_runtime_refuses_is_one_line(keras_export, tmp_path, monkeypatch):
    def write(model, path, description):
        Path(path).write_text("no ONNX", encoding="utf-8")

    monkeypatch.setitem(FORMATS, "onnx", FORMATS["onnx"]._replace(write=write))
    with pytest.raises(ShardfeedError, match=r"onnxruntime .* cannot run reader.onnx: Invalid"):
        keras_export(name="onnx")
    assert os.listdir(tmp_path / "out") == []


def test_a_stopped_export_leaves_nothing(keras_export, tmp_path, monkeypatch):
    def stop(*_):
        raise SystemExit(143)

    monkeypatch.setattr("train.export.write_and_check.put", stop)
    with pytest.raises(SystemExit):
        keras_export()
    assert os.listdir(tmp_path / "out") == []


def test_a_full_disk_is_to_be_tried_again(keras_export, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("train.export.destination.write_file", full)
    with pytest.raises(TryAgainError, match=r"cannot be written: No space left on device\. Free"):
        keras_export()
    assert os.listdir(tmp_path / "out") == []


def test_a_missing_package_is_one_line(monkeypatch):
    monkeypatch.setattr(export_config, "find_spec", lambda name: None)
    with pytest.raises(UsageError) as caught:
        ExportConfig(formats=("keras", "tflite"))
    assert str(caught.value) == (
        "--to tflite needs the package ai-edge-litert, which is not installed: "
        "pip install 'shardfeed[export]'."
    )
    ExportConfig(formats=("keras", "savedmodel"))  # these need nothing


def test_another_backend_exports_keras_only(untrained_run, monkeypatch, tmp_path):
    monkeypatch.setattr("keras.backend.backend", lambda: "jax")
    with pytest.raises(UsageError) as caught:
        export_run(untrained_run, ExportConfig(formats=("keras", "onnx")))
    assert str(caught.value) == (
        "--to onnx needs Keras on TensorFlow, and this is Keras on jax: run it with "
        "KERAS_BACKEND=tensorflow; a run's files are the same for all."
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"formats": ()}, "--to names no format; give some of keras, savedmodel, onnx, tflite."),
        ({"formats": ("pt",)}, "--to cannot be 'pt'; give some of keras, savedmodel, onnx, "
         "tflite."),
        ({"formats": ("onnx", "keras"), "output": "a.onnx"}, "--output a.onnx ends as onnx does, "
         "and --to is onnx,keras. Give it without a suffix."),
        ({"formats": ("keras",), "output": "a.onnx"}, "--output a.onnx ends as onnx does, and --to "
         "is keras. Give it without a suffix."),
        ({"formats": ("keras",), "output": "a/"}, "--output 'a/' ends without a name. Add one."),
    ],
)  # fmt: skip
def test_refusals(options, message):
    with pytest.raises(UsageError) as caught:
        ExportConfig(**options)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("output", "stem"),
    [(None, "run/export/model"), ("a/b", "a/b"), ("a/b.keras", "a/b"), ("a/v1.2", "a/v1.2")],
)
def test_the_suffix_is_ours(output, stem):
    assert ExportConfig(formats=("keras",), output=output).stem("run") == stem


def test_a_dataset_that_moved_is_named(keras_export, untrained_run, tiny_dataset, tmp_path):
    moved = untrained_run_of_moved(tiny_dataset, tmp_path)
    with pytest.raises(UsageError) as caught:
        keras_export(moved)
    assert str(caught.value) == (
        f"{tmp_path}/gone: the run's dataset, on whose images an export is checked, is not there. "
        "Say where it is with --dataset."
    )
    (export,) = keras_export(moved, dataset=str(tiny_dataset))
    assert export.parity.holds


def untrained_run_of_moved(dataset, tmp_path):
    run = make_run(tmp_path / "moved", dataset)
    run.write_config({**run.config(), "dataset": str(tmp_path / "gone")})
    return run
