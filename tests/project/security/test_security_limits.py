"""Sentences of SECURITY.md about what is printed and replaced, what is trusted, and limits."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from bomb_cases import scans
from checkpoint_cases import POSITION, rewritten
from convert_cases import ALL, PATIENCE, command, convert, draw_sources
from irregular import LARGE
from PIL import Image

from convert.command.printed import without_controls
from convert.dataset.read import read_dataset
from convert.errors import FormatError, ImageError, ShardfeedError, UsageError
from convert.images import ImageOptions, render
from convert.images.formats.jpeg.scans import check_scans
from convert.storage.places import MOST_BYTES, read_lines, read_text
from train import load_numpy
from train.cli.startup import say
from train.own_function import import_function
from train.pages.render import ENVIRONMENT
from train.predict.result import Prediction
from train.predict.tables import CsvTable
from train.runs.dataset_identity import dataset_of
from train.runs.folder import RunFolder
from train.runs.log import RunLog

ROOT = Path(__file__).parents[3]
EVIL = "\x1b]0;title\x07\r\n\x9b2J\u202e\u2066"


def test_texts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Controls of a terminal and marks of direction in class names, paths and the like are printed
    as escapes, in messages, logs, tables and reports."""
    RunLog(RunFolder(str(tmp_path)), say)(f"backend {EVIL}")
    shown = [
        capsys.readouterr().err,
        str(ShardfeedError(EVIL)),
        (tmp_path / "log.txt").read_text(encoding="utf-8"),
        CsvTable(1, False).lines([prediction(EVIL)]),
        ENVIRONMENT.from_string("<p>{{ text }}</p>").render(text=EVIL),
    ]
    for text in shown:
        assert r"\x1b]0;title\x07\r\n\x9b2J\u202e\u2066" in text
        assert without_controls(text.replace("\n", "")) == text.replace("\n", "")


def prediction(text: str) -> Prediction:
    return Prediction(
        path=text, text=text, confidence=0.5, outputs=(((text, 0.5),),), truth=None, is_right=None
    )


@pytest.mark.parametrize("text", ["=cmd|' /C calc'!A0", "+1+cmd", "-2+cmd", "@SUM(1)", "\t=1"])
def test_formulas(text: str) -> None:
    """No cell of `train predict`'s CSV is a formula."""
    (row,) = csv.reader(io.StringIO(CsvTable(1, False).lines([prediction(text)])))
    assert not any(re.match(r"[=+\-@\t]", cell) for cell in row)


def test_outputs(tmp_path: Path, tiny_dataset: Path) -> None:
    """A file that is not ours is replaced only with `--overwrite`, and an input is never
    replaced."""
    from train.predict.config import PredictConfig
    from train.predict.output_file import check_output
    from train.runs.folder import RunFolder

    (tmp_path / "run/audit/fold-1-of-2").mkdir(parents=True)
    run = RunFolder(str(tmp_path / "run"))
    run.config = lambda: {"dataset": "gone", "more_datasets": [str(tiny_dataset)]}
    other, image = tmp_path / "other.csv", tmp_path / "image.png"
    other.write_text("mine")
    Image.new("RGB", (12, 8)).save(image)

    def check(path: Path, overwrite: bool) -> None:
        config = PredictConfig(images=(str(image),), output=str(path), overwrite=overwrite)
        check_output(config, run)

    with pytest.raises(UsageError, match="or replace it with --overwrite"):
        check(other, False)
    check(other, True)
    audit = tmp_path / "run/audit/fold-1-of-2/best.keras"
    for place in (image, tmp_path / "run/best.keras", audit, tiny_dataset / "dataset.json"):
        with pytest.raises(UsageError, match="Name another --output"):
            check(place, True)
    draw_sources(tmp_path, 2)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    words = ("m.csv", "out", "--size", 12, 8, "--overwrite")
    assert command(*words, cwd=tmp_path, check=False).returncode == 2
    assert os.listdir(tmp_path / "out") == ["mine"]


# What may not


def test_functions(tiny_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The functions of `--model module:function` and `--augment module:function`, and those that
    you pass as `augment`, run with your rights."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    Path("security_own.py").write_text("import os\nos.mkdir('model')\ndef build(): ...\n")
    import_function("--model", "security_own:build")

    def augment(images, draws):
        (tmp_path / "augment").touch()
        return images

    next(iter(load_numpy(str(tiny_dataset), "train", 4, augment=augment)))
    assert (tmp_path / "model").exists() and (tmp_path / "augment").exists()


def start(words: list[str], folder: Path, path: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words, cwd=folder, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True,
        timeout=PATIENCE, check=True,
    )  # fmt: skip


def test_python_is_trusted(tmp_path: Path) -> None:
    """Python itself is trusted, with its packages and its variables, such as `PYTHONPATH`."""
    (tmp_path / "argparse.py").write_text("print('ran')\nraise SystemExit\n")
    words = [sys.executable, "-m", "convert", "--version"]
    assert start(words, ROOT, str(tmp_path)).stdout == "ran\n"


def test_the_current_folder(tmp_path: Path) -> None:
    """`python -m convert` and `python -m train` also import modules from the current folder, which
    `convert` and `train` do not: use these in a folder that you do not trust."""
    (tmp_path / "argparse.py").write_text("print('ran')\nraise SystemExit\n")
    for name in ("convert", "train"):
        words = [sys.executable, "-m", name, "--version"]
        assert start(words, tmp_path, str(ROOT)).stdout == "ran\n"
        script = str(Path(sys.executable).with_name(name))
        assert start([script, "--version"], tmp_path, str(ROOT)).stdout.startswith("shardfeed ")


def test_paths_of_a_run(tiny_dataset: Path, tmp_path: Path) -> None:
    """The paths in a run's `config.json` (`dataset`, `cache`, `manifest`) are used as they stand
    there, whatever they lead to."""
    dataset_id = read_dataset(str(tiny_dataset)).dataset_id
    (tmp_path / "link").symlink_to(tiny_dataset)
    config = {"dataset": f"{tmp_path}/x/../link", "dataset_id": dataset_id}
    (tmp_path / "x").mkdir()
    (tmp_path / "config.json").write_text(json.dumps(config))
    found = dataset_of(RunFolder.open(str(tmp_path)), None, "")
    assert (found.path, found.info.dataset_id) == (config["dataset"], dataset_id)


def test_forgery(tmp_path: Path) -> None:
    """Digests find damage, not forgery: whoever can write to a folder can compute them again."""
    damage: list[str] = []
    forged = rewritten(tmp_path, seconds=1e6).newest(lambda name, problem: damage.append(problem))
    assert forged is not None and not damage
    assert forged.position.seconds == 1e6 != POSITION.seconds


# Limits


def test_limits_of_images() -> None:
    """An image may have 50 million pixels, or as many as `--max-pixels` says, and 16 bytes for each
    of them and one MiB."""
    options = ImageOptions(crop=None, size=(12, 8))
    assert (options.max_pixels, options.max_bytes) == (50_000_000, 16 * 50_000_000 + (1 << 20))
    less = ImageOptions(crop=None, size=(12, 8), max_pixels=1)
    assert less.max_bytes == 16 + (1 << 20)


def test_limits_of_scans() -> None:
    """A JPEG may have 500 scans, and fewer if it is large."""
    options = ImageOptions(crop=None, size=(12, 8))
    check_scans(scans(500), 16 * 16, options.max_pixels)
    for data in (scans(501), scans(33, (7000, 7000))):
        with pytest.raises(ImageError, match="too_large: a JPEG of more than"):
            render(data, options)


@pytest.mark.parametrize(("height", "fits"), [(4096, True), (4097, False)])
def test_limits_of_records(height: int, fits: bool, tmp_path: Path) -> None:
    """A dataset's images have at most 16,777,216 pixels each."""
    convert(draw_sources(tmp_path, 2), tmp_path / "ds", split=ALL, encoding="png")
    path = tmp_path / "ds/dataset.json"
    content = json.loads(path.read_text())
    content["image"] |= {"width": 4096, "height": height}
    path.write_text(json.dumps(content))
    if fits:
        assert read_dataset(str(tmp_path / "ds")).image_shape == (4096, 4096, 3)
        return
    with pytest.raises(FormatError, match="`image` cannot be 4097x4096x3"):
        read_dataset(str(tmp_path / "ds"))


def test_limits_of_texts(tmp_path: Path) -> None:
    """A JSON file may have 512 MiB, `history.csv` 64 MiB, and a line of `quarantine.jsonl` 16
    MiB."""
    path = tmp_path / "history.csv"
    path.touch()
    os.truncate(path, MOST_BYTES + 1)
    with pytest.raises(OSError, match="expected at most 536,870,912"):
        read_text(str(path))
    os.truncate(path, (64 << 20) + 1)
    with pytest.raises(FormatError, match="expected at most 67,108,864"):
        RunFolder(str(tmp_path)).history()
    os.truncate(path, LARGE)
    with pytest.raises(OSError, match="a line of more than 16,777,216 bytes"):
        list(read_lines(str(path)))


def test_limits_of_a_shell(tmp_path: Path) -> None:
    """There is no limit of records or of time: who takes work from strangers limits both from
    outside, for example with `timeout` and `ulimit`."""
    draw_sources(tmp_path, 200)
    words = f"{sys.executable} -m convert m.csv out --size 12 8 --workers 1"
    limited = f"ulimit -f 8; timeout {PATIENCE} {words}"  # units of 1,024 bytes
    done = subprocess.run(
        ["bash", "-c", limited], cwd=tmp_path, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 75
    assert "File too large" in done.stderr
    assert not (tmp_path / "out").exists()
