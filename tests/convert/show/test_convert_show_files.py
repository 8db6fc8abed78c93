"""The files of contact sheets: nothing but an older sheet is replaced without being asked to."""

import os
from pathlib import Path

import pytest
from convert_cases import command, convert, digests, draw_sources
from PIL import Image

from convert.errors import UsageError
from convert.show import ShowConfig, show_dataset
from convert.show.sheet_file import check_sheet


@pytest.fixture
def strips(tmp_path: Path) -> Path:
    convert(draw_sources(tmp_path / "src", 40), tmp_path / "strips")
    (tmp_path / "sheets").mkdir()
    return tmp_path / "strips"


def show(dataset: Path, **options: object) -> None:
    sheets = str(dataset.parent / "sheets")
    show_dataset(ShowConfig(dataset=str(dataset), **{"count": 2, "sheets": sheets, **options}))


def refusal(dataset: Path, **options: object) -> str:
    """Returns the one line; no sheet of any split is written."""
    before = {path: os.lstat(path).st_mtime_ns for path in (dataset.parent / "sheets").iterdir()}
    with pytest.raises(UsageError) as caught:
        show(dataset, **options)
    after = {path: os.lstat(path).st_mtime_ns for path in (dataset.parent / "sheets").iterdir()}
    assert after == before
    return str(caught.value)


def test_an_older_sheet_is_replaced(strips: Path) -> None:
    sheet = strips.parent / "sheets/strips-train.png"
    show(strips)
    first = sheet.read_bytes()
    show(strips, seed=1)
    assert sheet.read_bytes() != first
    with Image.open(sheet) as image:
        assert image.text == {"Software": "shardfeed contact sheet"}


@pytest.mark.parametrize("kind", ["text", "empty", "picture", "nearly", "unreadable"])
def test_a_file_that_is_no_sheet_is_left_alone(strips: Path, kind: str) -> None:
    path = strips.parent / "sheets/strips-validation.png"
    if kind == "picture":
        Image.new("RGB", (9, 9)).save(path)
    else:
        texts = {"nearly": "tEXtSoftware\0shardfeed contact sheet", "empty": ""}
        path.write_text(texts.get(kind, "my figure for the paper"))
    assert refusal(strips) == (
        f"{path}: exists and is no contact sheet of `convert show`, so it is left alone. "
        "Choose another folder with --sheets, or replace it with --overwrite."
    )
    show(strips, overwrite=True)
    show(strips)


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_is_no_file_is_left_alone_unopened(strips: Path, overwrite: bool) -> None:
    path = strips.parent / "sheets/strips-train.png"
    os.mkfifo(path)
    message = (
        f"{path}: exists and is no contact sheet of `convert show`, so it is left alone. "
        "Choose another folder with --sheets."
    )
    assert refusal(strips, overwrite=overwrite) == message
    path.unlink()
    path.symlink_to("nowhere")
    assert refusal(strips, overwrite=overwrite) == message


def test_a_link_to_a_sheet_stays(strips: Path) -> None:
    show(strips)
    link, sheet = strips.parent / "sheets/strips-train.png", strips.parent / "kept.png"
    link.rename(sheet)
    link.symlink_to("../kept.png")
    before = sheet.read_bytes()
    show(strips, seed=1)
    assert link.is_symlink()
    assert sheet.read_bytes() != before


def test_a_link_in_the_place_of_the_unfinished_sheet_is_not_followed(strips: Path) -> None:
    victim = strips.parent / "victim"
    victim.write_text("mine")
    link = strips.parent / f"sheets/strips-train.png.part-{os.getpid()}"
    link.symlink_to(victim)
    with pytest.raises(UsageError, match="a link, expected a regular file"):
        show(strips)
    assert victim.read_text() == "mine"


def test_a_link_into_the_dataset_is_never_followed(strips: Path) -> None:
    before = digests(strips)
    link = strips.parent / "sheets/strips-train.png"
    link.symlink_to("../strips/dataset.json")
    assert refusal(strips, overwrite=True) == (
        f"{link}: leads into the dataset {strips}, where only convert writes. "
        "Choose another folder with --sheets."
    )
    assert digests(strips) == before


def test_the_command(strips: Path) -> None:
    (strips.parent / "strips-train.png").write_text("mine")
    done = command("show", "strips", "--count", 2, check=False, cwd=strips.parent)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    command("show", "strips", "--count", 2, "--overwrite", cwd=strips.parent)
    with Image.open(strips.parent / "strips-train.png") as image:
        assert image.format == "PNG"


def test_sheets_on_hdfs(hdfs, strips: Path) -> None:
    from convert.storage.places import filesystem_of

    files = filesystem_of(hdfs)
    files.make_folder(f"{hdfs}/sheets")
    show(strips, sheets=f"{hdfs}/sheets")
    show(strips, sheets=f"{hdfs}/sheets")
    files.replace(f"{hdfs}/sheets/strips-train.png", b"mine")
    with pytest.raises(UsageError, match="is no contact sheet"):
        check_sheet(f"{hdfs}/sheets/strips-train.png", str(strips), overwrite=False)
    show(strips, sheets=f"{hdfs}/sheets", overwrite=True)
