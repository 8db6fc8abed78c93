"""`make` knows which codecs .venv was built with."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMPILER = '#!/bin/sh\nexec grep --quiet --fixed-strings --file="$(dirname "$0")/headers" -\n'


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What `make setup` looks at, and a compiler that finds the headers listed beside it."""
    copied = "Makefile", "pyproject.toml", "setup.py", "constraints.txt", ".ci/system-packages"
    for name in copied:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy2(ROOT / name, tmp_path / name)
    compiler = tmp_path / "bin" / "cc"
    compiler.parent.mkdir()
    compiler.write_text(COMPILER)
    compiler.chmod(0o755)
    monkeypatch.setenv("PATH", f"{compiler.parent}:{os.environ['PATH']}")
    for name in ("CC", "MAKEFLAGS", "MAKELEVEL"):  # of the `make test` that runs this
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def is_ready(checkout: Path, *headers: str) -> bool:
    """Returns whether `make setup` would do nothing where these headers are installed."""
    (checkout / "bin" / "headers").write_text("".join(f"<{header}>\n" for header in headers))
    asked = subprocess.run(["make", "--question", "setup"], cwd=checkout, capture_output=True)
    assert asked.returncode in (0, 1), asked.stderr
    return asked.returncode == 0


def test_a_codec_that_comes_later_is_built_in(checkout: Path) -> None:
    assert not is_ready(checkout)
    (checkout / ".venv").mkdir()
    (checkout / ".venv" / ".ready-").touch()
    assert is_ready(checkout)
    assert not is_ready(checkout, "webp/decode.h")
    (checkout / ".venv" / ".ready-webp").touch()
    assert is_ready(checkout, "webp/decode.h")
    assert not is_ready(checkout, "webp/decode.h", "tiffio.h")
    (checkout / ".venv" / ".ready-webp-tiff").touch()
    assert is_ready(checkout, "webp/decode.h", "tiffio.h")
