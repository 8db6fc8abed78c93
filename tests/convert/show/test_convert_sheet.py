"""Contact sheets: the records' own pixels, chosen by the seed, with labels that can be read."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from convert_cases import convert, draw_sources, write_manifest
from hypothesis import given
from hypothesis import strategies as st
from image_cases import require_codec
from PIL import Image, ImageDraw, features
from show_cases import draw_texts, show

from convert.show.font import Typeface, find_typeface
from convert.show.sample import choose
from convert.show.sheet import Caption, draw_sheet

CHINESE = "王李张刘"
ALL = {"split": (("train", 1.0),)}


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 images of noise in one split, in several shards."""
    folder = tmp_path_factory.mktemp("noise")
    convert(draw_sources(folder, 60), folder / "noise", shard_bytes=4000, **ALL)
    return folder / "noise"


def sheet_of(dataset: Path, folder: Path, **options: Any) -> np.ndarray:
    """Draws the sheet of a dataset's train split; returns its pixels."""
    show(dataset, **{"count": 48, "split": "train", **options}, sheets=str(folder))
    return np.asarray(Image.open(folder / f"{dataset.name}-train.png"))


def source(dataset: Path, row: int) -> np.ndarray:
    return np.asarray(Image.open(dataset.parent / f"i/{row}.png"))


def place_of(image: np.ndarray, sheet: np.ndarray) -> tuple[int, int] | None:
    """Returns (top, left) of an image in a sheet, each of its pixels found."""
    pixels, first_row = sheet.tobytes(), image[0].tobytes()
    start = pixels.find(first_row)
    while start >= 0:
        top, left = divmod(start // sheet[0, 0].size, sheet.shape[1])
        if np.array_equal(sheet[top : top + len(image), left : left + len(image[0])], image):
            return top, left
        start = pixels.find(first_row, start + 1)
    return None


def rows_on(sheet: np.ndarray, dataset: Path, rows: Iterable[int], scale: int) -> list[int]:
    """Returns which rows' images are on a sheet, enlarged."""
    found = []
    for row in rows:
        image = source(dataset, row).repeat(scale, axis=0).repeat(scale, axis=1)
        if place_of(image, sheet) is not None:
            found.append(row)
    return found


def test_each_record_is_on_the_sheet_pixel_by_pixel(noise: Path, tmp_path: Path) -> None:
    sheet = sheet_of(noise, tmp_path, count=1000)
    assert sheet.shape[1] <= 1200
    assert rows_on(sheet, noise, range(60), scale=13) == list(range(60))


def test_some_records_without_repeats(noise: Path, tmp_path: Path) -> None:
    rows = rows_on(sheet_of(noise, tmp_path, count=10), noise, range(60), scale=30)
    assert len(rows) == 10
    other = rows_on(sheet_of(noise, tmp_path, count=10, seed=1), noise, range(60), scale=30)
    assert len(other) == 10
    assert other != rows


def test_wide_images_keep_their_size(tmp_path: Path) -> None:
    folder = tmp_path / "src"
    manifest = draw_sources(folder, 3)
    for row in range(3):
        Image.fromarray(np.random.default_rng(row).integers(0, 256, (40, 300, 3), np.uint8)).save(
            folder / f"i/{row}.png"
        )
    convert(manifest, folder / "wide", size=(300, 40), **ALL)
    sheet = sheet_of(folder / "wide", tmp_path)
    assert rows_on(sheet, folder / "wide", range(3), scale=1) == [0, 1, 2]


def test_large_images_are_reduced(tmp_path: Path) -> None:
    """A picture of four colours, one in each quarter, 800x600."""
    folder = tmp_path / "src"
    colours = [[(255, 0, 0), (0, 200, 0)], [(0, 0, 255), (90, 0, 90)]]
    picture = np.array(colours, np.uint8).repeat(300, axis=0).repeat(400, axis=1)
    manifest = draw_sources(folder, 1)
    Image.fromarray(picture).save(folder / "i/0.png")
    convert(manifest, folder / "large", size=(800, 600), **ALL)
    sheet = sheet_of(folder / "large", tmp_path)
    width, height = 360, 270
    counts = [int((sheet == colour).all(axis=2).sum()) for row in colours for colour in row]
    # Smoothed: where two colours meet there is neither.
    assert all(0.9 * width * height / 4 < count < width * height / 4 for count in counts)


def test_grey_records_make_a_grey_sheet(tmp_path: Path) -> None:
    convert(draw_sources(tmp_path, 5), tmp_path / "grey", channels=1, encoding="png", **ALL)
    sheet = sheet_of(tmp_path / "grey", tmp_path)
    assert sheet.ndim == 2
    for row in range(5):
        grey = np.asarray(Image.open(tmp_path / f"i/{row}.png").convert("L"))
        large = grey.repeat(30, axis=0).repeat(30, axis=1)
        assert place_of(large, sheet) is not None


def test_equal_seeds_give_equal_files(noise: Path, tmp_path: Path) -> None:
    names = ("first", "again", "other")
    for name, seed in zip(names, (5, 5, 6), strict=True):
        sheet_of(noise, tmp_path / name, seed=seed)
    first, again, other = ((tmp_path / name / "noise-train.png").read_bytes() for name in names)
    assert first == again != other


def test_a_sheet_for_each_split(tmp_path: Path) -> None:
    convert(draw_texts(tmp_path / "src"), tmp_path / "texts", text_column="text", pad_label=True)
    lines, found = show(tmp_path / "texts", count=4, sheets=str(tmp_path / "new/sheets"))
    paths = {split: f"{tmp_path}/new/sheets/texts-{split}.png" for split in found["splits"]}
    assert found["sheets"] == paths
    assert lines[-3:] == [
        f"{paths['train']}: 4 of 13 records",
        f"{paths['validation']}: 3 of 3 records",
        f"{paths['test']}: 1 of 1 record",
    ]
    assert sorted(os.listdir(tmp_path / "new/sheets")) == sorted(
        map(os.path.basename, paths.values())
    )


def test_no_sheets_if_none_are_wanted(noise: Path, tmp_path: Path) -> None:
    lines, found = show(noise, count=0, sheets=str(tmp_path / "sheets"))
    assert (found["sheets"], lines[-1]) == ({}, "rows left out: none")
    assert not (tmp_path / "sheets").exists()


def test_one_class_alone_is_drawn(noise: Path, tmp_path: Path) -> None:
    """Rows are labelled with their number in hexadecimal: `2` is in rows 2, 18, 32 to 47, 50."""
    sheet = sheet_of(noise, tmp_path, class_name="2")
    expected = [2, 18, *range(32, 48), 50]
    assert rows_on(sheet, noise, range(60), scale=21) == expected


def test_a_class_that_a_split_lacks(tmp_path: Path) -> None:
    convert(draw_texts(tmp_path / "src"), tmp_path / "texts", text_column="text", pad_label=True)
    lines, found = show(tmp_path / "texts", count=4, sheets=str(tmp_path), class_name="z")
    assert lines[-3:] == [
        "no sheet of train: no record has the class z",
        f"{tmp_path}/texts-validation.png: 2 of 2 records with the class z",
        "no sheet of test: no record has the class z",
    ]
    assert list(found["sheets"]) == ["validation"]


def test_a_split_without_records(tmp_path: Path) -> None:
    """All rows of `test` are bad: its shard is an empty file."""
    manifest = draw_texts(tmp_path / "src")
    (tmp_path / "src/16.png").write_bytes(b"")
    convert(manifest, tmp_path / "out", text_column="text", pad_label=True, max_bad_fraction=0.5)
    lines, found = show(tmp_path / "out", count=4, sheets=str(tmp_path))
    assert lines[-1] == "no sheet of test: it has no records"
    assert found["splits"]["test"] == {
        "records": 0,
        "shards": 1,
        "bytes": 0,
        "label_lengths": {},
        "image_bytes": None,
        "brightness": None,
    }


def draw_chinese(folder: Path) -> Path:
    draw_sources(folder, 4)
    rows = [[f"i/{row}.png", name] for row, name in enumerate(CHINESE)]
    manifest = write_manifest(folder / "m.csv", ["path", "y0"], rows)
    convert(manifest, folder / "out", **ALL)
    return folder / "out"


CURES = {
    True: "install fonts-wqy-microhei, for instance",
    False: "Pillow was built without FreeType; with libfreetype-dev it would draw them",
}


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Collects the texts that are drawn."""
    texts: list[str] = []
    draw = Typeface.draw
    monkeypatch.setattr(
        Typeface, "draw", lambda self, *args: (texts.append(args[2]), draw(self, *args))
    )
    return texts


def test_padded_labels_are_drawn_without_their_blanks(tmp_path: Path, drawn: list[str]) -> None:
    convert(draw_texts(tmp_path / "src"), tmp_path / "texts", text_column="text", pad_label=True)
    show(tmp_path / "texts", count=9, sheets=str(tmp_path), split="validation")
    kind = "12x8 RGB, raw pixels"
    assert drawn[:2] == ["texts", f"validation: 3 of 3 records, {kind}, seed 0"]
    pairs = sorted(zip(drawn[3::2], drawn[2::2], strict=True))
    assert pairs == [("row 13", "bz"), ("row 14", "zb"), ("row 15", "d")]


def test_names_of_several_characters_are_kept_apart(tmp_path: Path, drawn: list[str]) -> None:
    draw_sources(tmp_path, 2)
    rows = [["i/0.png", "x", "red fox"], ["i/1.png", "y", "z"]]
    manifest = write_manifest(tmp_path / "m.csv", ["path", "y0", "y1"], rows)
    convert(manifest, tmp_path / "out", **ALL)
    show(tmp_path / "out", sheets=str(tmp_path), count=2)
    assert sorted(drawn[2:]) == ["row 0", "row 1", "x, red fox", "y, z"]


@pytest.mark.parametrize("has_freetype", [True, False])
def test_class_numbers_where_no_font_has_the_glyphs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, drawn: list[str], has_freetype: bool
) -> None:
    if has_freetype:
        require_codec("freetype2")
    else:
        monkeypatch.setattr(features, "check", lambda name: False)
    monkeypatch.setattr("convert.show.font.FOLDERS", ())
    lines, _ = show(draw_chinese(tmp_path), count=4, sheets=str(tmp_path / "sheets"))
    assert lines[-1] == (
        "no font with these characters was found: 刘 张 李 王; class numbers are drawn; "
        + CURES[has_freetype]
    )
    # The vocabulary is in code-point order; labels stand in the records' order.
    assert sorted(text for text in drawn if text.startswith("#")) == ["#0", "#1", "#2", "#3"]
    assert sorted(text for text in drawn if text.startswith("row")) == [
        f"row {n}" for n in range(4)
    ]


def test_chinese_labels_are_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    typeface = find_typeface(CHINESE)
    if typeface.missing:
        pytest.skip("no font with Chinese characters, as fonts-wqy-microhei has")
    mixed = Image.new("L", (300, 60))
    typeface.draw(ImageDraw.Draw(mixed), (50, 40), "H王H", 30, "white")
    left, _, right, _ = mixed.getbbox() or (0, 0, 0, 0)
    assert abs(right - left - typeface.width("H王H", 30)) <= 8  # less the space around letters
    dataset = draw_chinese(tmp_path)
    lines, _ = show(dataset, count=4, sheets=str(tmp_path / "with"))
    assert lines[-1] == f"{tmp_path}/with/out-train.png: 4 of 4 records"
    with_font = Image.open(tmp_path / "with/out-train.png").convert("L")
    monkeypatch.setattr("convert.show.font.FOLDERS", ())
    show(dataset, count=4, sheets=str(tmp_path / "without"))
    without = Image.open(tmp_path / "without/out-train.png").convert("L")
    ink = [int((np.asarray(sheet) < 100).sum()) for sheet in (with_font, without)]
    assert with_font.tobytes() != without.tobytes()
    assert min(ink) > 0


def captions_of(*labels: str) -> list[Caption]:
    return [Caption(label=label, row=row) for row, label in enumerate(labels)]


@pytest.mark.parametrize("size", [(8, 8), (20, 160), (128, 32), (64, 64), (700, 40), (1000, 900)])
@pytest.mark.parametrize("label", ["7", "a rather long label, " * 8])
@pytest.mark.parametrize("count", [1, 2, 7, 60])
def test_sheets_of_any_shape_are_of_a_sane_size(
    size: tuple[int, int], label: str, count: int
) -> None:
    typeface = find_typeface("")
    images = [Image.new("RGB", size, "red")] * count
    sheet = draw_sheet(("title", "subtitle"), captions_of(*[label] * count), images, size, typeface)
    assert 512 <= sheet.width <= 1200
    assert 150 <= sheet.height <= 2700
    pixels = np.asarray(sheet)
    for edge in (pixels[:20], pixels[-20:], pixels[:, :20], pixels[:, -20:]):
        assert (edge == 245).all()
    reds = np.argwhere((pixels == (255, 0, 0)).all(axis=2))
    assert len(reds) % count == 0  # all of each image is there, and no image over another


@given(st.integers(0, 3000), st.integers(0, 60), st.integers(0, (1 << 63) - 1), st.integers(0, 5))
def test_choices(num_records: int, count: int, seed: int, stream: int) -> None:
    chosen = choose(num_records, count, seed, stream)
    assert chosen == sorted(set(chosen))
    assert len(chosen) == min(count, num_records)
    assert not chosen or 0 <= chosen[0] <= chosen[-1] < num_records


def test_choices_are_pinned_and_even() -> None:
    """A change here would show other records on every sheet."""
    assert choose(10, 5, 0, 0) == choose(10, 5, 0, 0) != choose(10, 5, 0, 1) != choose(10, 5, 1, 1)
    assert (choose(1000, 4, 0, 0), choose(6, 4, 7, 2)) == ([49, 259, 458, 556], [0, 1, 4, 5])
    counts = np.zeros(30)
    for seed in range(2000):
        counts[choose(30, 3, seed, 0)] += 1
    assert (abs(counts - 200) < 70).all()  # five standard deviations
