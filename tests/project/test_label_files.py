"""Each command of the table of label files in docs/convert.md is run on such a file, then shown."""

from __future__ import annotations

import csv
import io
import json
import re
import shlex
from pathlib import Path

import pytest
from convert_cases import command_here, png
from documents import PAGES

PAGE = PAGES["docs/convert.md"]
TABLE = PAGE[PAGE.index("| made for |") :].partition("\n\n")[0]
COMMANDS = re.findall(r"`(convert [^`]+)` \|$", TABLE, re.MULTILINE)
# Enough for both splits; each label of four digits.
PAIRS = [(f"word_{row}.png", f"{row * 157 % 10_000:04d}") for row in range(40)]


def lines(form: str) -> str:
    return "".join(form.format(*pair) for pair in PAIRS)


def table(header: str) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerows([header.split(","), *PAIRS])
    return buffer.getvalue()


FILES = {
    "manifest.csv": table("path,text"),
    "rec_gt_train.txt": lines("{}\t{}\n"),
    "gt.txt": lines("{}\t{}\n"),
    "labels.txt": lines("{} {}\n"),
    "icdar.txt": lines('{}, "{}"\r\n'),
    "labels.csv": table("filename,words"),
    "metadata.csv": table("file_name,text"),
    "metadata.jsonl": "".join(json.dumps({"file_name": n, "text": t}) + "\n" for n, t in PAIRS),
    "plates.csv": table("image_path,plate_text"),
    "train.csv": table("id,label").replace(".png", ""),
    "labels.json": json.dumps(dict(PAIRS)),
    "textrecog_train.json": json.dumps(
        {"data_list": [{"img_path": n, "instances": [{"text": t}]} for n, t in PAIRS]}
    ),
    "table.csv": table("picture,reading"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("formats")
    for below in ("images", "train", "captchas"):
        (folder / below).mkdir()
    for row, (name, text) in enumerate(PAIRS):
        for place in (name, f"images/{name}", f"train/{name}", f"captchas/{row}_{text}.png"):
            (folder / place).write_bytes(png((16, 8), row))
    for name, content in FILES.items():
        (folder / name).write_text(content, encoding="utf-8", newline="")
    return folder


def test_every_file_has_a_command() -> None:
    assert [words.split()[1] for words in COMMANDS] == [*FILES, "captchas"]


@pytest.mark.parametrize("line", COMMANDS)
def test_from_the_file_to_show(folder: Path, tmp_path: Path, line: str) -> None:
    _, manifest, output, *flags = shlex.split(line)
    done = command_here(manifest, tmp_path / output, *flags, cwd=folder)
    assert "4 outputs of 10 classes each; for example 0000, " in done.stderr
    assert "40 records" in done.stderr
    shown = command_here("show", output, "--count", 4, cwd=tmp_path)
    assert (tmp_path / f"{output}-train.png").exists()
    assert "40 records" in shown.stdout
