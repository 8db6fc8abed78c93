"""`train export`: each format reads as the run does, and says what a reader must know."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from conftest import ROOT, SAMPLE
from reading_cases import probabilities_of
from reading_cases import untrained_run as make_run

from convert.storage import sha256_file
from convert.version import __version__
from train.cli import main
from train.config import ModelName
from train.errors import ShardfeedError, TryAgainError, UsageError
from train.evaluate import text_of
from train.export import config as export_config
from train.export.config import ExportConfig, FormatName
from train.export.formats import FORMATS
from train.export.parity import Expected, compare
from train.export.run import export_run
from train.loading import open_source

ALL = get_args(FormatName)
EVERYTHING = os.environ.get("CI") == "true"
SERVED = ROOT / "tests" / "served_example.py"


def paths(folder: Path) -> dict[str, Path]:
    names = {"keras": "reader.keras", "savedmodel": "reader", "onnx": "reader.onnx"}
    return {name: folder / names.get(name, "reader.tflite") for name in ALL}


@pytest.fixture(scope="session")
def images(tiny_dataset):
    return open_source(str(tiny_dataset), "validation", 30).batch(0, 0)[0]


@pytest.fixture(scope="session")
def expected(untrained_run, images):
    return probabilities_of(untrained_run, images)


@pytest.fixture(scope="session")
def exports(untrained_run, tmp_path_factory):
    """All formats of one run."""
    folder = tmp_path_factory.mktemp("exports")
    told = []
    config = ExportConfig(formats=ALL, output=str(folder / "reader"))
    assert export_run(untrained_run, config, told.append) == told
    assert sorted(os.listdir(folder)) == sorted(
        ["reader.json", *(p.name for p in paths(folder).values())]
    )
    return folder, told


@pytest.mark.parametrize("name", ALL)
def test_every_format_reads_as_the_run(name, exports, expected, images, untrained_run):
    """Any number of images at once; the outputs by name."""
    folder, told = exports
    outputs = list(untrained_run.dataset_info().outputs)
    runner = FORMATS[name].open(str(paths(folder)[name]), outputs)
    for batch in (slice(0, 30), slice(0, 1), slice(3, 10)):
        found = runner(images[batch])
        assert list(found) == outputs
        for output in outputs:
            assert found[output].dtype == np.float32
            np.testing.assert_allclose(found[output], expected[output][batch], atol=2e-5)
            np.testing.assert_allclose(found[output].sum(axis=1), 1, atol=1e-5)
    (export,) = [export for export in told if export.format == name]
    assert (export.parity.images, export.parity.texts, export.split) == (30, 0, "validation")
    assert export.parity.largest < 2e-5
    assert str(export).startswith(f"{paths(folder)[name]}: ")


def description_in(name: str, path: Path) -> str:
    """Returns the description inside an export, found without our code."""
    if name == "savedmodel":
        return (path / "assets.extra" / "shardfeed.json").read_text(encoding="utf-8")
    if name == "onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(str(path))
        return session.get_modelmeta().custom_metadata_map["shardfeed"]
    with zipfile.ZipFile(path) as archive:
        return archive.read("shardfeed.json").decode()


@pytest.mark.parametrize("name", ALL)
def test_every_format_carries_the_description(name, exports, untrained_run):
    folder, _ = exports
    info = untrained_run.dataset_info()
    beside = (folder / "reader.json").read_text(encoding="utf-8")
    assert description_in(name, paths(folder)[name]) == beside
    about = json.loads(beside)
    assert about["outputs"] == [
        {"name": output, "blank": None, "classes": list(classes)}
        for output, classes in info.classes.items()
    ]
    assert about["input"] == {"name": "image", "dtype": "uint8", "shape": [None, 16, 64, 3]}
    assert about["image"] == {
        "width": 64, "height": 16, "channels": 3, "crop": [186, 0, 300, 30], "row_boxes": False,
        "resample": "bicubic", "alpha": "drop", "pad_crop": False, "exif": False,
        "fast_decode": False,
    }  # fmt: skip
    assert (about["shardfeed"], about["dataset_id"], about["values"], about["signature"]) == (
        __version__, info.dataset_id, "probabilities", "serving_default",
    )  # fmt: skip
    assert about["weights_sha256"] == sha256_file(untrained_run.file("best.keras"))


def test_onnx_names_its_outputs_in_order(exports):
    import onnxruntime

    session = onnxruntime.InferenceSession(str(exports[0] / "reader.onnx"))
    assert [output.name for output in session.get_outputs()] == ["y0", "y1", "y2", "y3"]
    (image,) = session.get_inputs()
    assert (image.name, image.type, image.shape) == ("image", "tensor(uint8)", ["batch", 16, 64, 3])


def test_the_saved_model_has_a_named_signature(exports):
    import tensorflow as tf

    loaded = tf.saved_model.load(str(exports[0] / "reader"))
    signature = loaded.signatures["serving_default"]
    assert list(signature.structured_input_signature[1]) == ["image"]
    assert sorted(signature.structured_outputs) == ["y0", "y1", "y2", "y3"]


def test_the_keras_file_needs_nothing_of_ours(exports):
    with zipfile.ZipFile(exports[0] / "reader.keras") as archive:
        assert b"shardfeed" not in archive.read("config.json")


def test_exporting_again_finds_it_there(exports, untrained_run):
    folder, _ = exports
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    config = ExportConfig(formats=ALL, output=str(folder / "reader"))
    again = export_run(untrained_run, config)
    assert all(export.was_there for export in again)
    assert " MB (was there already); " in str(again[0])
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before


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


def test_an_export_that_was_spoilt_is_told(keras_export, exports, untrained_run, tmp_path):
    """It is there, it is described as ours, and it reads otherwise."""
    import keras

    keras_export()
    path = tmp_path / "out" / "reader.keras"
    model = keras.models.load_model(path, compile=False)
    damage(model)
    model.save(path)
    with pytest.raises(UsageError, match="exists and reads otherwise than the run: probabilities"):
        keras_export()


@pytest.mark.parametrize("name", ["keras", "onnx"])
def test_an_export_that_reads_otherwise_never_appears(name, keras_export, tmp_path, monkeypatch):
    def with_other_weights(model):
        import keras

        from train.probabilities import with_probabilities

        other = keras.models.clone_model(model)
        other.set_weights(model.get_weights())
        damage(other)
        return with_probabilities(other)

    monkeypatch.setattr("train.export.run.with_probabilities", with_other_weights)
    with pytest.raises(ShardfeedError) as caught:
        keras_export(name=name)
    pattern = (
        r".*: not written, since it would read otherwise than the run: probabilities differ by at "
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

    monkeypatch.setattr("train.export.run.put", stop)
    with pytest.raises(SystemExit):
        keras_export()
    assert os.listdir(tmp_path / "out") == []


def test_a_full_disk_is_to_be_tried_again(keras_export, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("train.export.place.write_file", full)
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


@pytest.mark.parametrize("name", get_args(ModelName) if EVERYTHING else get_args(ModelName)[:1])
def test_every_network_can_be_exported(name, untrained_run, tiny_dataset, tmp_path):
    """To the two formats that a converter writes, which does not know every layer."""
    from train.models.network import build_model

    info = untrained_run.dataset_info()
    outputs = {output: len(classes) for output, classes in info.classes.items()}
    run = make_run(tmp_path / "run", tiny_dataset)
    run.save_model(
        build_model(info.image_shape, outputs, name=name, width=0.25, seed=0), "best.keras"
    )
    exports = export_run(
        run, ExportConfig(formats=("onnx", "tflite"), output=str(tmp_path / "reader"))
    )
    assert [export.parity.texts for export in exports] == [0, 0]


def run_main(*words) -> int:
    with pytest.raises(SystemExit) as caught:
        main([str(word) for word in words])
    return caught.value.code


def test_the_command(untrained_run, tmp_path, capfd):
    words = ("export", untrained_run.path, "--output", tmp_path / "a.keras", "--to")
    assert run_main(*words, "keras", "--json") == 0
    captured = capfd.readouterr()
    line, summary = captured.out.splitlines()
    assert line.startswith(f"{tmp_path}/a.keras: 0.")
    summary = json.loads(summary)
    assert summary["description"] == f"{tmp_path}/a.json"
    assert [export["path"] for export in summary["exports"]] == [f"{tmp_path}/a.keras"]
    assert captured.err == ""
    assert run_main(*words, "keras,pt") == 2
    assert capfd.readouterr().err == (
        "train: error: --to cannot be 'pt'; give some of keras, savedmodel, onnx, tflite.\n"
    )


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


_SERVE = """\
import sys, threading, urllib.request, json
for name in ("train", "convert", "keras", "tensorflow", "tf2onnx"):
    sys.modules[name] = None  # importing it fails
sys.argv = ["serve.py"]
import runpy
served = runpy.run_path(sys.path.pop(0) + "/served_example.py")
server = served["HTTPServer"](("127.0.0.1", 0), served["Handler"])
threading.Thread(target=server.serve_forever, daemon=True).start()
for line in sys.stdin.read().splitlines():
    url = f"http://127.0.0.1:{server.server_port}"
    with open(line, "rb") as file:
        asked = urllib.request.urlopen(url, file.read())
    assert json.loads(asked.read()) == served["read"](line)
    print(json.dumps(served["read"](line)))
server.shutdown()
"""


def test_the_served_example(
    exports, untrained_run, expected, images, sample_rows, tiny_dataset, tmp_path
):
    """With onnxruntime, NumPy and Pillow alone it reads files as the run reads their records."""
    (tmp_path / "model.onnx").symlink_to(exports[0] / "reader.onnx")
    rows = open_source(str(tiny_dataset), "validation", 30).reader.rows(np.arange(30))
    sources = [str(SAMPLE / sample_rows[row]["path"]) for row in rows]
    code = f"import sys; sys.path.insert(0, {str(SERVED.parent)!r})\n" + _SERVE
    done = subprocess.run(
        [sys.executable, "-c", code], input="\n".join(sources), capture_output=True, text=True,
        cwd=tmp_path, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    read = [json.loads(line) for line in done.stdout.splitlines()]
    info = untrained_run.dataset_info()
    classes = np.stack([expected[name].argmax(axis=1) for name in info.outputs], axis=1)
    assert [answer["text"] for answer in read] == [text_of(row, info) for row in classes.tolist()]
    confidences = np.prod([expected[name].max(axis=1) for name in info.outputs], axis=0)
    np.testing.assert_allclose([answer["confidence"] for answer in read], confidences, atol=1e-4)


def test_the_readme_shows_the_served_example():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python serve\.py\n(.*?)```", readme, re.DOTALL)
    assert block == SERVED.read_text(encoding="utf-8")
