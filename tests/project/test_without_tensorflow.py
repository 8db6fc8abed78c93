"""An installation without TensorFlow: pip leaves it out, reading needs none, training says so."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

WITHOUT = "import sys; sys.modules['tensorflow'] = None\n"  # importing it fails


def python(code: str, *words: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**{k: v for k, v in os.environ.items() if k != "KERAS_BACKEND"}, **environment},
    )


@pytest.mark.parametrize("without", [False, True])
def test_what_is_installed(without: bool) -> None:
    """What setup.py gives setuptools, all but TensorFlow if it is left out."""
    code = (
        "import runpy, sys, types\n"
        "told = lambda install_requires: print(*install_requires, sep='\\n')\n"
        "sys.modules['setuptools'] = types.SimpleNamespace(setup=told)\n"
        "runpy.run_path('setup.py')"
    )
    given = {"SHARDFEED_WITHOUT_TENSORFLOW": "1"} if without else {}
    names = python(code, **given).stdout.split("\n")
    assert ("tensorflow>=2.21" in names) is not without
    assert {"keras>=3.15", "numpy>=2.4", "pyarrow>=26"} <= set(names)


def test_arrays_are_read_without_tensorflow_and_keras(tiny_dataset: Path) -> None:
    code = WITHOUT + (
        "sys.modules['keras'] = None\nfrom shardfeed import load_numpy\n"
        "print(len(list(load_numpy(sys.argv[1], 'train', 9))))"
    )
    done = python(code, tiny_dataset)
    assert (done.stdout, done.stderr) == ("10\n", "")


def test_what_needs_tensorflow_says_so(tiny_dataset: Path) -> None:
    code = WITHOUT + (
        "from shardfeed import load_dataset, ShardfeedError\n"
        "try: load_dataset(sys.argv[1], 'train', 9)\nexcept ShardfeedError as error: print(error)"
    )
    problem = "TensorFlow is not installed. Install it with `pip install tensorflow`, or "
    assert python(code, tiny_dataset).stdout == f"{problem}use load_numpy.\n"
    done = python(f"{WITHOUT}from train.cli import main; main()", tiny_dataset, "--epochs", "1")
    assert done.returncode == 2
    assert done.stderr == f"train: error: {problem}set KERAS_BACKEND=jax if JAX is.\n"
