"""What the pages show of the sample is what the commands print, but for times and rates."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from conftest import ROOT
from convert_cases import command
from documents import PAGES, transcripts

CONVERT = "convert data/sample/manifest.csv strips --crop 186 0 300 30 --size 128 32"
_MEASURED = re.compile(r"rows in .*")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the commands of the pages run, with the sample's dataset."""
    folder = tmp_path_factory.mktemp("pages")
    (folder / "data").symlink_to(ROOT / "data")
    (folder / "stderr.txt").write_text(run(CONVERT, folder), encoding="utf-8")
    return folder


def run(line: str, folder: Path) -> str:
    """Returns the output of a command."""
    done = command(*line.split()[1:], cwd=folder, check=False)
    return done.stderr + done.stdout  # as on a terminal: `command` takes the times off


def assert_shown(printed: str, shown: list[str]) -> None:
    """Compares lines in order; `...` stands for any lines, and times and rates do not count."""
    rest = [_MEASURED.sub("rows", line) for line in printed.rstrip().splitlines()]
    for part in "\n".join(_MEASURED.sub("rows", line) for line in shown).split("\n..."):
        wanted = part.strip("\n").splitlines()
        start = rest.index(wanted[0])
        assert rest[start : start + len(wanted)] == wanted
        rest = rest[start + len(wanted) :]


def test_a_conversion(folder: Path) -> None:
    shown = transcripts(PAGES["README.md"])[CONVERT]
    printed = (folder / "stderr.txt").read_text(encoding="utf-8")
    assert len(shown) == len(printed.splitlines())
    assert_shown(printed, shown)


def test_planning_it(folder: Path) -> None:
    line = f"{CONVERT} --plan-only"
    shown = transcripts(PAGES["docs/convert.md"])[line]
    assert_shown(
        run(line, folder), ["..." if "ms an image" in text else text for text in shown[1:]]
    )


def test_showing_it(folder: Path) -> None:
    line = "convert show strips --count 24"
    assert_shown(run(line, folder), transcripts(PAGES["docs/convert.md"])[line])


def test_verifying_it_damaged(folder: Path) -> None:
    shard = folder / "strips" / "images-train.tfrecord-00000-of-00001"
    content = bytearray(shard.read_bytes())
    layout = json.loads((folder / "strips" / "dataset.json").read_text(encoding="utf-8"))["layout"]
    content[80 * layout["stride"] + layout["image_offset"]] ^= 1
    shard.write_bytes(content)
    line = "convert verify strips --manifest data/sample/manifest.csv"
    assert_shown(run(line, folder), transcripts(PAGES["docs/convert.md"])[line])
