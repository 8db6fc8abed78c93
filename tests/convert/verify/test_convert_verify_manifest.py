"""Against its manifest: rows, labels, rows left out, and with --deep every pixel."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from convert_cases import convert, draw_sources, png, write_manifest
from PIL import Image
from verify_cases import (
    STRIDE,
    TRAIN,
    VALIDATION,
    copy_of,
    draw,
    encode,
    flip,
    list_again,
    problems,
    read,
    rewrite,
    verify,
    write,
)

from convert.dataset.record import layout_of_image
from convert.errors import FormatError, UsageError

LAYOUT = layout_of_image(2, 12 * 8 * 3)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    draw(folder)
    return folder


@pytest.fixture
def dataset(whole: Path, tmp_path: Path) -> Path:
    return copy_of(whole, tmp_path)


def compared(dataset: Path, *, deep: bool = False) -> list[str]:
    return problems(dataset, manifest=str(dataset.parent / "m.csv"), deep=deep)


def pixels(dataset: Path, row: int) -> bytes:
    """Returns the pixels of a source."""
    with Image.open(dataset.parent / f"i/{row}.png") as image:
        return image.tobytes()


DAMAGES: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "nothing": (lambda out: None, []),
    "a pixel": (
        lambda out: flip(out / TRAIN[1], 3 * STRIDE + LAYOUT.image_offset),
        [f"{TRAIN[1]}: flipped bytes in record 3 (manifest row 13, i/13.png)"],
    ),
    "rows of several records": (
        lambda out: flip(
            out / TRAIN[1], *(record * STRIDE + LAYOUT.row_offset for record in (3, 5))
        ),
        [
            f"{TRAIN[1]}: flipped bytes in record 3 (manifest row 13, i/13.png)",
            f"{TRAIN[1]}: flipped bytes in record 5 (manifest row 15, i/15.png)",
        ],
    ),
    "records exchanged": (
        lambda out: (
            rewrite(out, TRAIN[0], 0, encode([0, 1], 1, pixels(out, 1))),
            rewrite(out, TRAIN[0], 1, encode([0, 0], 0, pixels(out, 0)), listed=True),
        ),
        [
            f"{TRAIN[0]}: not the planned row in record 0 (manifest row 0, i/0.png): it has row 1",
            f"{TRAIN[0]}: not the planned row in record 1 (manifest row 1, i/1.png): it has row 0",
        ],
    ),
    "a label": (
        lambda out: rewrite(out, TRAIN[2], 4, encode([1, 9], 24, pixels(out, 24)), listed=True),
        [
            f"{TRAIN[2]}: labels differ from the manifest in record 4 (manifest row 24, "
            "i/24.png): 19, the manifest has 18"
        ],
    ),
    "a row beyond the manifest": (
        lambda out: rewrite(out, TRAIN[0], 4, encode([0, 4], 40, pixels(out, 4)), listed=True),
        [
            f"{TRAIN[0]}: not the planned row in record 4 (manifest row 4, i/4.png): it has row 40",
            f"{TRAIN[0]}: a row out of range in record 4 (manifest row 40): there are 40 rows",
        ],
    ),
    "a class's name": (
        lambda out: write(
            out / "dataset.json", read(out / "dataset.json").replace(b'\n   "f"', b'\n   "g"')
        ),
        ["dataset.json: its vocabularies are not those that its manifest and options give"],
    ),
    "a shard that is not listed": (
        lambda out: drop_last_shard(out),
        [
            "dataset.json: its shards are not those that its manifest and options give",
            "quarantine.jsonl: its 0 rows and the 30 records are not the manifest's 40 rows",
        ],
    ),
    "a row that is there and left out": (
        lambda out: write(
            out / "quarantine.jsonl",
            b'{"row": 7, "path": "i/8.png", "reason": "missing", "detail": "no such file"}\n',
        ),
        [
            f"{TRAIN[0]}: not compared with the manifest, which does not give it 10 rows",
            f"{TRAIN[0]}: a row for the second time in record 7 (manifest row 7, i/7.png): "
            "quarantine.jsonl has it too",
            "quarantine.jsonl: row 7 is i/8.png, the manifest has i/7.png",
            "quarantine.jsonl: its 1 rows and the 40 records are not the manifest's 40 rows",
        ],
    ),
}


def drop_last_shard(dataset: Path) -> None:
    text = (dataset / "dataset.json").read_text("utf-8")
    start, end = text.index(',\n  "validation"'), text.index('\n },\n "layout"')
    (dataset / "dataset.json").write_text(text[:start] + text[end:], encoding="utf-8")
    (dataset / VALIDATION).unlink()
    list_again(dataset, TRAIN[0])


@pytest.mark.parametrize("name", DAMAGES)
def test_damage(dataset: Path, name: str) -> None:
    damage, expected = DAMAGES[name]
    damage(dataset)
    assert compared(dataset) == expected


def test_a_row_that_the_plan_left_out(tmp_path: Path) -> None:
    rows = [[f"i/{row}.png", f"{row}" * (row != 3), "train"] for row in range(6)]
    manifest = write_manifest(tmp_path / "m.csv", ["path", "y0", "split"], rows)
    (tmp_path / "i").mkdir()
    for row in range(6):
        (tmp_path / f"i/{row}.png").write_bytes(png(seed=row))
    convert(manifest, tmp_path / "out", max_bad_fraction=0.5)
    assert compared(tmp_path / "out", deep=True) == []
    left_out = (tmp_path / "out/quarantine.jsonl").read_text()
    (tmp_path / "out/quarantine.jsonl").write_text(left_out.replace("label_missing", "missing"))
    assert compared(tmp_path / "out") == [
        "quarantine.jsonl: row 3 (i/3.png) is missing, the manifest gives label_missing"
    ]


def test_the_manifest_of_another_dataset(dataset: Path) -> None:
    manifest = dataset.parent / "m.csv"
    expected = hashlib.sha256(read(manifest)).hexdigest()
    write(manifest, read(manifest).replace(b"i/3.png,0,3", b"i/3.png,0,4"))
    with pytest.raises(UsageError) as error:
        compared(dataset)
    assert str(error.value) == (
        f"{manifest}: not the manifest of {dataset}: its sha256 is "
        f"{hashlib.sha256(read(manifest)).hexdigest()}, dataset.json has {expected}. "
        "Give the manifest that the dataset was made from."
    )


def test_options_that_cannot_be_read(dataset: Path) -> None:
    text = (dataset / "dataset.json").read_text("utf-8")
    (dataset / "dataset.json").write_text(text.replace('"pad_label"', '"pad"'), encoding="utf-8")
    assert problems(dataset) == [
        "dataset.json: its `plan_id` is not the digest of its `manifest_sha256` and `options`"
    ]
    with pytest.raises(FormatError) as error:
        compared(dataset)
    assert str(error.value) == (
        f"{dataset}/dataset.json: its options cannot be read, so the manifest cannot be "
        "compared. Verify without --manifest."
    )


def paint(path: Path, level: int) -> None:
    """Changes one pixel of a source."""
    with Image.open(path) as image:
        array = np.asarray(image).copy()
    array[2, 3] = level
    Image.fromarray(array).save(path)


SOURCES: dict[str, tuple[Callable[[Path], object], str]] = {
    "another pixel": (
        lambda path: paint(path, 0),
        "pixels differ from the source in record 3 (manifest row 13, i/13.png): "
        "1 of 96 pixels, by up to 217 of 255 levels",
    ),
    "no file": (
        lambda path: path.unlink(),
        "its source can no longer be converted: record 3 (manifest row 13, i/13.png): "
        "missing, no such file",
    ),
    "no image": (
        lambda path: path.write_bytes(b"<html>"),
        "its source can no longer be converted: record 3 (manifest row 13, i/13.png): "
        "unknown_format, an HTML page, starts with b'<html>', "
        "expected one of PNG, JPEG, BMP, GIF, TIFF, WEBP",
    ),
}


@pytest.mark.parametrize("name", SOURCES)
def test_deep(dataset: Path, name: str) -> None:
    change, expected = SOURCES[name]
    assert compared(dataset, deep=True) == []
    change(dataset.parent / "i/13.png")
    assert compared(dataset) == []
    result = verify(dataset, manifest=str(dataset.parent / "m.csv"), deep=True)
    assert result.lines() == [
        f"{TRAIN[1]}: {expected}",
        "1 problem in 1 of 4 shards; the rest is sound",
        "sources have changed since: if they are right now, convert them again",
    ]


def test_deep_looks_at_sound_records_only(dataset: Path) -> None:
    flip(dataset / TRAIN[1], 3 * STRIDE + LAYOUT.image_offset)
    (dataset.parent / "i/13.png").unlink()
    assert compared(dataset, deep=True) == [
        f"{TRAIN[1]}: flipped bytes in record 3 (manifest row 13, i/13.png)"
    ]


def test_a_sound_record_with_other_pixels(dataset: Path) -> None:
    rewrite(dataset, TRAIN[0], 5, encode([0, 5], 5, pixels(dataset, 6)), listed=True)
    assert compared(dataset) == []
    (problem,) = verify(dataset, manifest=str(dataset.parent / "m.csv"), deep=True).problems
    assert (problem.kind, problem.row, problem.path) == ("pixels_differ", 5, "i/5.png")


def test_rows_without_a_path_are_as_the_manifest_has_them(tmp_path: Path) -> None:
    manifest = draw_sources(tmp_path, 20)
    with manifest.open("a") as file:
        file.write(",,\n")  # as spreadsheets end
    convert(manifest, tmp_path / "out", max_bad_fraction=0.5, split=(("train", 1.0),))
    assert verify(tmp_path / "out", manifest=str(manifest)).problems == []
