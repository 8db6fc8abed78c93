"""Labels read out of file names: `--from-names`."""

from __future__ import annotations

import errno
import json
import os
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from convert_cases import command, convert, digests, options_of, png
from PIL import Image

from convert.config import ConvertConfig
from convert.dataset.read import read_dataset
from convert.errors import UsageError
from convert.images import FORMATS
from convert.images.formats.suffixes import SUFFIXES
from convert.plan.file_names import manifest_from_names
from convert.write.open_inputs import open_manifest

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
        (
            r"(\d+)_([a-z]+)",
            "--from-names has 2 groups, and only one can be the label: write (?:...) for groups "
            "that are no labels, or names such as (?P<y0>...) and (?P<y1>...) for several labels, "
            "got '(\\\\d+)_([a-z]+)'.",
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
        f"F: no image in it: it is empty. Images end in {', '.join(SUFFIXES)}."
    )
    for name in ("a.txt", "b.TXT", "c.csv", "README", "trailing.", ".DS_Store"):
        (tmp_path / "empty" / name).write_text("no image")
    assert error(tmp_path / "empty", "(.)") == (
        "F: no image in it: 2 .txt, 1 .csv, 2 without a suffix, 1 hidden. "
        f"Images end in {', '.join(SUFFIXES)}."
    )
    assert error(folder, "(Q)") == (
        "F: --from-names '(Q)' matches none of 6 names, such as a/226md.png."
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


# What is said of the names


def notes(folder: Path, expression: str) -> tuple[str, ...]:
    return manifest_from_names(str(folder), expression).notes


@pytest.mark.parametrize(
    ("expression", "line"),
    [
        ("(.{5})", "6 names: 226md.png -> 226md"),
        ("(?P<y0>.)(?P<y1>.)", "6 names: 226md.png -> y0=2 y1=2"),
        # Groups without a name are no labels where others have one.
        ("(.)(?P<text>.)", "6 names: 226md.png -> text=2"),
        ("(?P<group>[ab])/(?P<text>.)", "6 names: a/226md.png -> group=a text=2"),
        (r"^(.{5})\.png$", "6 names, of which 1 does not match: 226md.png -> 226md"),
        ("(n8).*", "6 names, of which 5 do not match: n8y3m.png -> n8"),
    ],
)
def test_an_example_is_shown(folder: Path, expression: str, line: str) -> None:
    assert notes(folder, expression) == (line, "passed over 1 .txt, 2 hidden")


def test_nothing_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png())
    assert notes(tmp_path, "(.)") == ("1 name: a.png -> a",)


def test_what_is_passed_over_is_counted_by_suffix(tmp_path: Path) -> None:
    for name in ("x.png", "1.txt", "2.TXT", "3.txt", "a.zip", "b.zip", "c.db", "LICENSE"):
        (tmp_path / name).write_bytes(png())
    for number in range(20):
        (tmp_path / f"part.{number:03}").write_bytes(b"")
    (tmp_path / "deep/er").mkdir(parents=True)
    (tmp_path / "deep/er/d.db").write_bytes(b"")
    (tmp_path / "deep/.git").mkdir()
    (tmp_path / "deep/.git/y.png").write_bytes(png())
    (tmp_path / "again").symlink_to(tmp_path / "deep")
    assert notes(tmp_path, "(.)")[1] == (
        "passed over 3 .txt, 2 .db, 2 .zip, 1 .000, 1 .001, 1 .002, 1 .003, 1 .004, "
        "15 with other suffixes, 1 without a suffix, 1 linked folder, 1 hidden"
    )


def test_names_that_are_not_utf8_and_no_images_are_counted(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(png())
    (tmp_path / "\udcff.\udcfe").write_bytes(b"")
    words = ["--from-names", "(.)", "--size", 12, 8, "--split", "train=1"]
    done = command(tmp_path, tmp_path / "out", *words)
    assert "convert: passed over 1 .\\udcfe\n" in done.stderr


def test_the_command_says_what_it_read(folder: Path, tmp_path: Path) -> None:
    words = ["--from-names", "(.{5})", "--size", 12, 8, "--split", "train=1"]
    done = command(folder, tmp_path / "out", *words)
    assert done.stderr.startswith(
        "convert: 6 names: 226md.png -> 226md\nconvert: passed over 1 .txt, 2 hidden\n"
    )


def test_a_folder_that_cannot_be_listed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.scandir

    def scan(path: str) -> Any:
        if str(path).endswith("/b"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return real(path)

    monkeypatch.setattr(os, "scandir", scan)
    with pytest.raises(UsageError) as caught:
        manifest_from_names(str(folder), "(.)")
    assert str(caught.value) == (
        f"{folder}/b: cannot be listed: Permission denied. "
        "Make it readable, or move it out of the folder."
    )


# Which files are images


def test_every_suffix_of_the_decoders_is_one(tmp_path: Path) -> None:
    known = {suffix for suffix, kind in Image.registered_extensions().items() if kind in FORMATS}
    assert set(SUFFIXES) == known | {".webp"}  # which Pillow knows only where it can read it
    for suffix in SUFFIXES:
        (tmp_path / f"s{suffix}").write_bytes(png())
        (tmp_path / f"L{suffix.upper()}").write_bytes(png())
    found = manifest_from_names(str(tmp_path), "(.)")
    assert found.num_rows == 2 * len(SUFFIXES)
    assert found.notes[0].startswith("22 names (2 .apng, 2 .bmp, 2 .gif, ")


# Unicode forms


def test_labels_are_composed_and_paths_are_as_they_are(tmp_path: Path) -> None:
    for name in ("é1.png", "ñ2.png"):
        (tmp_path / unicodedata.normalize("NFD", name)).write_bytes(png())
    for form in ("NFC", "NFD"):  # of the expression, which a Mac may type in either
        expression = unicodedata.normalize(form, r"^(é|ñ)\d\.png$")
        found = manifest_from_names(str(tmp_path), expression)
        assert found.columns["text"].to_pylist() == ["é", "ñ"]
        paths = found.columns["path"].to_pylist()
        assert paths == sorted(os.listdir(tmp_path))
        assert paths == [unicodedata.normalize("NFD", path) for path in paths]
        assert found.notes[0] == "2 names: é1.png -> é"
    assert convert(tmp_path, tmp_path / "out", from_names="^(.)", split=ALL).records == 2


def test_a_text_and_columns_at_once(tmp_path: Path) -> None:
    """Neither is dropped without a word."""
    (tmp_path / "1.png").write_bytes(png())
    with pytest.raises(UsageError) as caught:
        open_manifest(options_of(tmp_path, from_names=r"(?P<text>\d)(?P<y0>\.)"))
    assert str(caught.value) == (
        "--from-names has groups for y0 and for a text: choose with --label-columns or "
        "--text-column."
    )
    chosen = options_of(tmp_path, from_names=r"(?P<text>\d)(?P<y0>\.)", text_column="text")
    assert open_manifest(chosen).text_column == "text"
