"""`shardfeed` gives our packages to scripts beside which a train.py or a convert.py lies."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import convert_cases
import pytest
from conftest import ROOT

import convert
import shardfeed
import train

NAMES = ("convert", "train")
READ = """\
import sys
from shardfeed import load_numpy
if __name__ == "__main__":
    images, labels = next(iter(load_numpy("out", "train", 4, seed=0)))
    print(images.shape, *labels, {"tensorflow", "keras"} & set(sys.modules))
"""


def python(*words: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=convert_cases.PATIENCE,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Holds images, their manifest, and a user's own train.py and convert.py."""
    convert_cases.draw_sources(tmp_path, 20)
    for name in NAMES:
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the wrong file')\n")
    return tmp_path


def test_it_exports_what_the_packages_do() -> None:
    assert set(shardfeed.__all__) == {*convert.__all__, *train.__all__}
    for name in shardfeed.__all__:
        assert getattr(shardfeed, name) is getattr(train, name, getattr(convert, name, None))


@pytest.mark.parametrize("script", ["read.py", "train.py"])  # the latter is the script itself
def test_reading_beside_files_of_our_names_without_tensorflow(folder: Path, script: str) -> None:
    convert_cases.convert(folder / "m.csv", folder / "out")
    (folder / script).write_text(READ)
    done = python(script, cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "(4, 8, 12, 3) y0 y1 set()\n"


def test_a_module_that_is_loaded_already_is_named(folder: Path) -> None:
    (folder / "train.py").write_text("")
    done = python("-c", "import train, shardfeed", cwd=folder)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f"ImportError: {folder / 'train.py'} was imported as 'train', which is also the name of a "
        "package that shardfeed needs. Rename it, or import it by another name."
    )


def test_the_commands_beside_files_of_their_names(folder: Path) -> None:
    """Also in the processes that they start."""
    words = ("convert", "m.csv", "out", "--size", "12", "8", "--workers", "2", "--json")
    done = python("-m", "shardfeed", *words, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["records"] == 20
    done = python("-m", "shardfeed", "train", "out", "--epochs", "0", cwd=folder)
    assert (done.returncode, done.stderr[:14]) == (2, "train: error: ")
    done = python("-m", "convert", "--version", cwd=folder)
    assert done.stderr == "the wrong file\n"  # that is the user's file, before any of ours


@pytest.mark.parametrize("words", [[], ["evaluate"]])
def test_another_command_is_a_wrong_usage(words: list[str], tmp_path: Path) -> None:
    done = python("-m", "shardfeed", *words, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (2, "usage: python -m shardfeed {convert,train} ...\n")
