"""`train export`: each format reads as the run does, and says what a reader must know."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from conftest import ROOT, SAMPLE
from documents import examples
from reading_cases import calibrated_copy, probabilities_of, sure_of
from reading_cases import untrained_run as make_run
from train_cases import run_main

from convert.storage.places import sha256_file
from convert.version import __version__
from train.config import ModelName
from train.evaluation.calibration_file import read_calibration
from train.evaluation.evidence import lower_bound
from train.export.config import ExportConfig, FormatName
from train.export.formats import FORMATS
from train.export.write_and_check import export_run
from train.input.open_source import open_source
from train.model.networks.by_name import build_model
from train.records.texts import text_of

ALL = get_args(FormatName)
SERVED = ROOT / "tests" / "support" / "served_example.py"


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
def calibrated_run(untrained_run, tmp_path_factory):
    return calibrated_copy(untrained_run, tmp_path_factory.mktemp("calibrated") / "run")


@pytest.fixture(scope="session")
def exports(calibrated_run, tmp_path_factory):
    """All formats of one run."""
    folder = tmp_path_factory.mktemp("exports")
    told = []
    config = ExportConfig(formats=ALL, output=str(folder / "reader"))
    assert export_run(calibrated_run, config, told.append) == told
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
def test_every_format_carries_the_description(name, exports, calibrated_run):
    folder, _ = exports
    info = calibrated_run.dataset_info()
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
        "fit": "stretch",
    }  # fmt: skip
    assert (about["shardfeed"], about["dataset_id"], about["values"], about["signature"]) == (
        __version__, info.dataset_id, "probabilities", "serving_default",
    )  # fmt: skip
    assert about["weights_sha256"] == sha256_file(calibrated_run.file("best.keras"))
    assert about["calibration"] == {
        "temperatures": [0.5, 0.75, 1.0, 1.25], "power": 0.75, "records": 400,
        "accept": [
            {"exact": share, "threshold": 0.9, "records": 300, "wrong": 0, "coverage": 0.75,
             "at_least": lower_bound(300, 0)}
            for share in (0.95, 0.99)
        ],
    }  # fmt: skip


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


def test_exporting_again_finds_it_there(exports, calibrated_run):
    folder, _ = exports
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    config = ExportConfig(formats=ALL, output=str(folder / "reader"))
    again = export_run(calibrated_run, config)
    assert all(export.was_there for export in again)
    assert " MB (was there already); " in str(again[0])
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name == "cnn" else [pytest.mark.long])
        for name in get_args(ModelName)
    ],
)
def test_every_network_can_be_exported(name, untrained_run, tiny_dataset, tmp_path):
    """To the two formats that a converter writes, which does not know every layer."""
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


_SERVE = """\
import http.client, io, json, PIL.Image, socket, sys, threading, urllib.request
for name in ("train", "convert", "keras", "tensorflow", "tf2onnx"):
    sys.modules[name] = None  # importing it fails
sys.argv = ["serve.py"]
import runpy
served = runpy.run_path(sys.path.pop(0) + "/served_example.py")
server = served["ThreadingHTTPServer"](("127.0.0.1", 0), served["Handler"])
threading.Thread(target=server.serve_forever, daemon=True).start()
for line in sys.stdin.read().splitlines():
    url = f"http://127.0.0.1:{server.server_port}"
    with open(line, "rb") as file:
        asked = urllib.request.urlopen(url, file.read())
    assert json.loads(asked.read()) == served["read"](line)
    print(json.dumps(served["read"](line)))

eps = b"%!PS-Adobe-3.0 EPSF-3.0\\n%%BoundingBox: 0 0 32 16\\n%%EndComments\\n"
served["read"].__globals__["MAX_PIXELS"] = 30
big = io.BytesIO()
PIL.Image.new("RGB", (31, 1)).save(big, "PNG")
usual = io.BytesIO()
PIL.Image.new("L", (5, 5)).save(usual, "JPEG", progressive=True)
usual = usual.getvalue()
scan = usual.find(b"\\xff\\xda")
slow = usual[:scan] + usual[scan:-2] * 6 + usual[-2:]
small = io.BytesIO()
PIL.Image.new("RGB", (5, 6)).save(small, "PNG")
whole = small.getvalue()
flipped = bytearray(whole)
flipped[-14] ^= 1  # the pixels' checksum
formats = "no image of these formats: PNG, JPEG, BMP, GIF, TIFF, WEBP"
damaged, limit = "the image is damaged or cut short", "send an image of at most 20000000 bytes, "
for body, length, code, reason in (
    (slow, None, 400, "the JPEG has more than 32 scans"), (eps, None, 400, formats),
    (b"no image", None, 400, formats), (b"", None, 400, formats),
    (big.getvalue(), None, 400, "the image has more than 30 pixels"),
    (bytes(flipped), None, 400, damaged), (whole[:-14], None, 400, damaged),
    (usual, None, 400, "the crop box [186, 0, 300, 30] reaches past an image of (5, 5)"),
    *((b"", length, 413, limit + "and its length")
      for length in ("10000000000", "20000001", "9" * 5000, "-1", "x")),
):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    connection.putrequest("POST", "/")
    connection.putheader("Content-Length", str(len(body)) if length is None else length)
    connection.endheaders(body)
    answer = connection.getresponse()
    assert answer.status == code, (body, length)
    assert answer.headers["Content-Type"] == "application/json"
    line = answer.read()
    assert line.count(b"\\n") == 1 and json.loads(line) == {"error": reason}, (line, reason)
    connection.close()
connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
connection.request("GET", "/")
answer = connection.getresponse()
assert (answer.status, json.loads(answer.read())["error"][:18]) == (501, "Unsupported method")
slow = socket.create_connection(("127.0.0.1", server.server_port))
slow.sendall(b"POST / HTTP/1.1\\r\\nContent-Length: 1000\\r\\n\\r\\n")  # and nothing more
connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=5)
connection.request("POST", "/", b"no image")
assert connection.getresponse().status == 400
slow.close()
server.shutdown()
"""


def test_the_served_example(
    exports, calibrated_run, expected, images, sample_rows, tiny_dataset, tmp_path
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
    info = calibrated_run.dataset_info()
    classes = np.stack([expected[name].argmax(axis=1) for name in info.outputs], axis=1)
    assert [answer["text"] for answer in read] == [text_of(row, info) for row in classes.tolist()]
    confidences = sure_of(expected, read_calibration(calibrated_run).scale)
    np.testing.assert_allclose([answer["confidence"] for answer in read], confidences, atol=1e-4)


def test_the_container_holds_what_the_server_needs():
    (text,) = examples("dockerfile Dockerfile")
    lines = [line.partition(" ")[::2] for line in text.splitlines()]
    assert {word for word, _ in lines} == {
        "FROM", "RUN", "WORKDIR", "COPY", "USER", "ENV", "EXPOSE", "CMD",
    }  # fmt: skip
    said = dict(lines)
    assert lines[0] == ("FROM", "python:3.11-slim")
    assert said["USER"] == "nobody"
    assert said["COPY"].split() == ["serve.py", "model.onnx", "./"]
    assert json.loads(said["CMD"]) == ["python", "serve.py"]  # not through a shell: SIGTERM arrives
    server = SERVED.read_text(encoding="utf-8")
    assert f'os.environ.get("{said["ENV"].partition("=")[0]}"' in server
    assert f", {said['EXPOSE']}\n" in server
    # What it imports and is not Python's is installed, in the versions that are tested.
    tree = ast.parse(server)
    names = {a.name for node in ast.walk(tree) if isinstance(node, ast.Import) for a in node.names}
    names |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    foreign = {name for name in names if name.partition(".")[0] not in sys.stdlib_module_names}
    assert foreign == {"numpy", "onnxruntime", "PIL"}
    pinned = (ROOT / "constraints.txt").read_text().split()
    for word in said["RUN"].split()[3:]:
        simd = f"{word.replace('pillow', 'pillow-simd')}.post0"
        assert word in pinned or simd in pinned


def test_the_page_shows_the_served_example():
    assert examples("python serve.py") == [SERVED.read_text(encoding="utf-8")]
