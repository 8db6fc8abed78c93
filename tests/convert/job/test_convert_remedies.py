"""A conversion that leaves out too many rows says what helps, reason by reason."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path

import pytest
from convert_cases import command, png, write_manifest

from convert.config import ConvertConfig
from convert.errors import REASONS, Reason, TooManyBadRowsError
from convert.job.quarantine import check_bad
from convert.plan.rejected_rows import Quarantined
from convert.storage.hdfs.address import SCHEME
from convert.write.remedies import place_of, remedies

SIZE = ("--size", 12, 8, "--split", "train=1")


def rows_of(*reasons: Reason, path: str = "a.png", detail: str = "why") -> list[Quarantined]:
    return [
        Quarantined(row=row, path=path, reason=reason, detail=detail)
        for row, reason in enumerate(reasons)
    ]


def refused(folder: Path, *words: object) -> str:
    """Converts what cannot be; returns the message."""
    done = command("m.csv", "out", *SIZE, *words, cwd=folder, check=False)
    assert done.returncode == 1
    assert not (folder / "out").exists()
    return done.stderr.splitlines()[-1]


def texts(folder: Path, *values: str) -> None:
    """Makes a manifest of images with these texts."""
    for row in range(len(values)):
        (folder / f"{row}.png").write_bytes(png(seed=row))
    rows = [[f"{row}.png", value] for row, value in enumerate(values)]
    write_manifest(folder / "m.csv", ["path", "text"], rows)


# The one table


@pytest.mark.parametrize("reason", REASONS)
def test_each_reason_has_a_remedy(reason: Reason, tmp_path: Path) -> None:
    rows = rows_of(reason, detail="3 characters, expected 5")
    text = remedies(rows, 100, str(tmp_path))
    assert text.startswith(f"for {reason}, ")
    assert text.isprintable() and len(text) < 300
    flags = {word.strip(",;()") for word in text.split() if word.startswith("--")}
    known = {f"--{name.replace('_', '-')}" for name in ConvertConfig.__annotations__}
    assert flags <= known | {"--version`"}


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("box_outside", "--pad-crop"),
        ("damaged", "--lenient"),
        ("truncated", "--lenient"),
        ("unsupported_here", "`make system-packages`"),
        ("unsupported_here", "`convert --version`"),
        ("label_unknown", "--vocabulary"),
    ],
)
def test_it_names_what_helps(reason: Reason, words: str) -> None:
    assert words in remedies(rows_of(reason), 100, "/data")


@pytest.mark.parametrize(
    ("detail", "words"),
    [
        ("10x10 is more than 50 pixels", "--max-pixels N takes larger images"),
        ("the box, 30x34, is more than 1000 pixels", "--max-pixels N takes larger images"),
        ("901048576 bytes are more than 801048576", "--max-pixels N takes larger images"),
        ("a PNG of more than 102,578 chunks", "save these images again in an image editor"),
        ("a BMP of 9,000 bytes for 4 pixels", "save these images again in an image editor"),
    ],
)
def test_more_pixels_are_advised_only_where_they_help(detail: str, words: str) -> None:
    text = remedies(rows_of("too_large", detail=detail), 100, "/data")
    assert text == f"for too_large, {words}"


def test_large_and_costly_images_are_advised_of_together() -> None:
    rows = [
        *rows_of("too_large", detail="10x10 is more than 50 pixels"),
        *rows_of("too_large", detail="a JPEG of more than 10,000 segments"),
    ]
    assert remedies(rows, 100, "/data") == (
        "for too_large, --max-pixels N takes larger images, save the others again in an image "
        "editor"
    )


def test_the_commonest_reasons_come_first_and_last_the_limit() -> None:
    rows = rows_of("empty_file", "too_large", "too_large", "damaged", "damaged", "damaged")
    with pytest.raises(TooManyBadRowsError) as caught:
        check_bad([*rows, *rows_of("unreadable")], 100, 0.01, "/data")
    helps = str(caught.value).split(" What helps: ")[1]
    assert helps == (
        "for damaged, fetch or make these files again; --lenient keeps images that decoders only "
        "warn about; for too_large, save these images again in an image editor; for empty_file, "
        "fetch or make the empty files again. Or raise --max-bad-fraction, which leaves all these "
        "rows out."
    )


def test_equal_remedies_are_said_once() -> None:
    text = remedies(rows_of("damaged", "truncated"), 100, "/data")
    assert text.startswith("for damaged and truncated, fetch")
    assert text.count("--lenient") == 1


@pytest.mark.parametrize("limit", [0.01, 1.0])
def test_where_all_rows_are_bad_no_limit_helps(limit: float) -> None:
    with pytest.raises(TooManyBadRowsError) as caught:
        check_bad(rows_of("empty_file", "empty_file"), 2, limit, "/data")
    assert "Or raise" not in str(caught.value)


# True in commands: what is advised is done, and helps


def test_texts_of_several_lengths(tmp_path: Path) -> None:
    texts(tmp_path, "12", "12345", "1234", "1234", "9876")
    message = refused(tmp_path, "--text-column", "text")
    assert message.split("What helps: ")[1] == (
        "for label_length, --pad-label takes texts of all lengths (here 2 to 5 characters) and "
        "fills the shorter ones up with a blank class, or --text-length N chooses another length. "
        "Or raise --max-bad-fraction, which leaves all these rows out."
    )
    command("m.csv", "out", *SIZE, "--text-column", "text", "--pad-label", cwd=tmp_path)


def test_texts_longer_than_the_padding(tmp_path: Path) -> None:
    texts(tmp_path, "12", "12345", "123456789", "1234")
    words = ("--text-column", "text", "--pad-label")
    message = refused(tmp_path, *words, "--text-length", 4)
    assert "for label_length, --text-length 9 holds the longest text." in message
    command("m.csv", "out", *SIZE, *words, "--text-length", 9, cwd=tmp_path)


def test_another_root(tmp_path: Path) -> None:
    texts(tmp_path, "1", "2")
    (tmp_path / "labels").mkdir()
    (tmp_path / "m.csv").rename(tmp_path / "labels/m.csv")
    words = ["labels/m.csv", "out", *SIZE, "--text-column", "text"]
    done = command(*words, cwd=tmp_path, check=False)
    assert "What helps: for missing, --root . names the folder where 0.png is.\n" in done.stderr
    command(*words, "--root", ".", cwd=tmp_path)


def test_a_root_beside_or_below(tmp_path: Path) -> None:
    """Where the first path leads to a file is found and named; else what was tried is."""
    texts(tmp_path, "1", "2")
    for folder in ("labels", "others", "my_images"):
        (tmp_path / folder).mkdir()
    (tmp_path / "m.csv").rename(tmp_path / "labels/m.csv")
    words = ["labels/m.csv", "out", *SIZE, "--text-column", "text"]
    for place, found in (
        ("my_images", "--root my_images names the folder where 0.png is.\n"),
        ("labels/images", "--root labels/images names the folder where 0.png is.\n"),
        # Equal names are no proof that these are the pictures.
        ("others", f"none of them was found, {tmp_path}/labels/0.png was tried first.\n"),
    ):
        (tmp_path / place).mkdir(exist_ok=True)
        for path in list(tmp_path.rglob("*.png")):
            path.rename(tmp_path / place / path.name)
        assert found in command(*words, cwd=tmp_path, check=False).stderr


def test_absolute_paths_of_another_machine(tmp_path: Path) -> None:
    write_manifest(tmp_path / "m.csv", ["path", "y0"], [["/home/anna/1.png", "1"]])
    assert refused(tmp_path).endswith(
        "for outside_root, make the paths relative to --root: there is no /home/anna/1.png here."
    )


def test_some_that_are_missing(tmp_path: Path) -> None:
    texts(tmp_path, *"123456")
    for row in (2, 4):
        (tmp_path / f"{row}.png").unlink()
    assert (
        "for missing, --root DIR names the folder that paths start from, if it is not "
        f"{tmp_path} (2 files are missing there). Or raise"
    ) in refused(tmp_path, "--text-column", "text")


def test_all_files_are_missing_though_other_rows_have_no_label(tmp_path: Path) -> None:
    texts(tmp_path, "1", "", "2")
    for row in range(3):
        (tmp_path / f"{row}.png").unlink()
    message = refused(tmp_path, "--text-column", "text", "--max-bad-fraction", 0.5)
    assert f"none of them was found, {tmp_path}/0.png was tried first" in message


@pytest.mark.parametrize("name", ["blobs", "two words", "deep/er"])
def test_a_folder_to_allow(tmp_path: Path, name: str) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / name).mkdir(parents=True)
    for row in range(3):
        (tmp_path / name / f"{row}").write_bytes(png(seed=row))
        (tmp_path / f"in/{row}.png").symlink_to(os.path.join("..", name, str(row)))
    write_manifest(tmp_path / "in/m.csv", ["path", "y0"], [[f"{r}.png", str(r)] for r in range(3)])
    words = ["in/m.csv", "out", *SIZE]
    done = command(*words, cwd=tmp_path, check=False)
    advice = done.stderr.split("for outside_root, ")[1].split(" lets in")[0]
    assert shlex.split(advice) == ["--allow", name]
    done = command(*words, *shlex.split(advice), "--json", cwd=tmp_path)
    assert json.loads(done.stdout.splitlines()[-1])["records"] == 3


def test_a_path_that_leads_out_to_nothing(tmp_path: Path) -> None:
    write_manifest(tmp_path / "m.csv", ["path", "y0"], [["../no-such/1.png", "1"]])
    assert refused(tmp_path).endswith(
        "for outside_root, --root DIR names the folder that paths start from: there is no "
        f"{tmp_path.parent}/no-such/1.png."
    )


def test_addresses() -> None:
    root = f"{SCHEME}a:1/data/labels"
    text = remedies(rows_of("outside_root", path="../images/1.png"), 10, root)
    assert text.startswith(f"for outside_root, --allow {SCHEME}a:1/data/images lets in")
    assert place_of(root, "/x/1.png") == f"{SCHEME}a:1/x/1.png"
    assert place_of(root, f"{SCHEME}b:1/x.png") == f"{SCHEME}b:1/x.png"
