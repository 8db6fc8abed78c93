"""Labels read out of file names: `--from-names`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from convert_cases import command, convert, digests, png

from convert.config import ConvertConfig
from convert.errors import UsageError
from convert.names import manifest_from_names
from convert.storage import read_dataset

ALL = (("train", 1.0),)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six images in two folders, and what is no image."""
    for number, name in enumerate(["226md", "bdca2", "n8y3m", "226md.1", "x34nn", "pw5nc"]):
        path = tmp_path / "in" / ("a" if number < 3 else "b") / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(seed=number))
    (tmp_path / "in/notes.txt").write_text("no image")
    (tmp_path / "in/.hidden.png").write_bytes(png())
    (tmp_path / "in/.cache").mkdir()
    (tmp_path / "in/.cache/abcde.png").write_bytes(png())
    return tmp_path / "in"


def columns(folder: Path, expression: str) -> dict[str, list[str]]:
    manifest = manifest_from_names(str(folder), expression)
    return {name: column.to_pylist() for name, column in manifest.columns.items()}


PATHS = ["a/226md.png", "a/bdca2.png", "a/n8y3m.png", "b/226md.1.png", "b/pw5nc.png", "b/x34nn.png"]


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        (r"([a-z0-9]{5})", {"text": ["226md", "bdca2", "n8y3m", "226md", "pw5nc", "x34nn"]}),
        # What does not match is a row without a label.
        (r"^(.{5})\.png$", {"text": ["226md", "bdca2", "n8y3m", "", "pw5nc", "x34nn"]}),
        (r"(?P<y0>.)(?P<y1>.)", {"y0": list("2bn2px"), "y1": list("2d82w3")}),
        # With a slash it is the path that is searched.
        (r"(?P<group>[ab])/(?P<text>.)", {"group": list("aaabbb"), "text": list("2bn2px")}),
        (r"(2|b)|n", {"text": ["2", "b", "", "2", "", ""]}),
    ],
)
def test_groups_become_columns(folder: Path, expression: str, found: dict[str, list[str]]) -> None:
    assert columns(folder, expression) == {"path": PATHS, **found}


def test_a_folder_is_converted(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = convert(folder, out, from_names=r"^(.{5})\.png$", max_bad_fraction=0.5, split=ALL)
    assert (result.rows, result.records, result.quarantined) == (6, 5, 1)
    info = read_dataset(str(out))
    assert list(info.outputs) == ["y0", "y1", "y2", "y3", "y4"]
    assert info.vocabularies == {"text": tuple(sorted(set("226mdbdca2n8y3mpw5ncx34nn")))}
    assert json.loads((out / "quarantine.jsonl").read_text()) == {
        "row": 3,
        "path": "b/226md.1.png",
        "reason": "label_missing",
        "detail": "its name has no label",
    }
    again = convert(folder, out, from_names=r"^(.{5})\.png$", max_bad_fraction=0.5, split=ALL)
    assert again.already_complete


def test_the_same_names_elsewhere_give_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    words = ["--from-names", "(.{5})", "--size", 12, 8, "--split", "train=1"]
    command(folder, tmp_path / "one", *words)
    folder.rename(tmp_path / "moved")
    command("moved", "two", *words, cwd=tmp_path)
    assert digests(tmp_path / "one") == digests(tmp_path / "two")


def test_another_file_is_another_plan(folder: Path, tmp_path: Path) -> None:
    one = convert(folder, tmp_path / "one", from_names="(.{5})", split=ALL)
    (folder / "b/zzzzz.png").write_bytes(png())
    with pytest.raises(UsageError, match="holds a dataset of another plan"):
        convert(folder, tmp_path / "one", from_names="(.{5})", split=ALL)
    two = convert(folder, tmp_path / "two", from_names="(.{5})", split=ALL)
    assert one.info.plan_id != two.info.plan_id


def test_padded_texts_and_split_columns(folder: Path, tmp_path: Path) -> None:
    for name, parent in (("ab", "train"), ("abc", "train"), ("c", "val")):
        path = tmp_path / "sets" / parent / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(seed=len(name)))
    expression = r"(?P<split>train|val)/(?P<text>[a-z]+)\.png"
    result = convert(tmp_path / "sets", tmp_path / "o", from_names=expression, pad_label=True)
    assert {s: result.info.num_records(s) for s in result.info.splits} == {
        "train": 2,
        "validation": 1,
    }
    assert len(result.info.outputs) == 3


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        (
            "(",
            "--from-names is no regular expression: missing ), unterminated subpattern at "
            "position 0, got '('.",
        ),
        (
            "[a-z]+",
            "--from-names needs a group in round brackets around the label, as in "
            "'([a-z0-9]+)\\.png', got '[a-z]+'.",
        ),
    ],
)
def test_expressions_that_cannot_be(expression: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        ConvertConfig(manifest="in", dataset="out", size=(1, 1), from_names=expression)
    assert str(caught.value) == message


def test_folders_that_do_not_fit(folder: Path, tmp_path: Path) -> None:
    def error(where: Path, expression: str) -> str:
        with pytest.raises(UsageError) as caught:
            manifest_from_names(str(where), expression)
        return str(caught.value).replace(f"{where}", "F")

    assert error(tmp_path / "none", "(.)") == (
        "F: no such folder. --from-names takes a folder of images."
    )
    (tmp_path / "empty").mkdir()
    assert error(tmp_path / "empty", "(.)") == (
        "F: no image in it; they end in .png, .jpg, .jpeg, .bmp, .gif, .tif, .tiff, .webp."
    )
    assert error(folder, "(Q)") == (
        "F: --from-names '(Q)' matches none of 6 names, as 'a/226md.png'."
    )
    assert error(folder, "(?P<path>.)") == (
        "--from-names cannot have a group named 'path': that is the file's."
    )
    (folder / "a\udcff.png").write_bytes(png())
    assert error(folder, "(.)") == "F: the name 'a\\\\xff.png' is not UTF-8. Rename the file."


@pytest.mark.parametrize("options", [{"text_column": "nope"}, {"label_columns": ("nope",)}])
def test_columns_that_no_group_makes(folder: Path, tmp_path: Path, options: Any) -> None:
    with pytest.raises(UsageError, match="no column 'nope'"):
        convert(folder, tmp_path / "out", from_names="(.{5})", **options)
