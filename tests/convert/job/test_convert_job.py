"""A conversion from end to end: the files, their bytes, and the rows that are left out."""

import json
import os
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from convert_cases import convert, digests, draw_sources, options_of, png, write_manifest
from PIL import Image

from convert.config import ConvertConfig
from convert.dataset.read import read_dataset
from convert.dataset.record import from_padded_varints
from convert.errors import TooManyBadRowsError
from convert.job import convert_dataset
from convert.storage.places import sha256_file

STRIDE = 369  # of two labels and 12x8x3 bytes
NUM_ROWS = 40


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sources")
    draw_sources(folder, NUM_ROWS)
    return folder


@pytest.fixture(scope="module")
def dataset(sources: Path) -> Path:
    """The sources in shards of at most eight records."""
    convert(sources / "m.csv", sources / "out", shard_bytes=8 * STRIDE + 5, seed=1)
    return sources / "out"


def all_records(folder: Path) -> dict[int, tuple[str, list[int], np.ndarray]]:
    """Returns every record by row: its shard, class indices and pixels."""
    info = read_dataset(str(folder))
    found = {}
    for shard in (shard for shards in info.splits.values() for shard in shards):
        data = np.fromfile(folder / shard.file, np.uint8).reshape(shard.records, -1)
        layout = info.layout
        labels = from_padded_varints(data[:, layout.label_offset :][:, : 5 * layout.num_labels])
        rows = from_padded_varints(data[:, layout.row_offset :][:, :5])[:, 0]
        images = data[:, layout.image_offset : -4].reshape(-1, *info.image_shape)
        for row, label, image in zip(rows.tolist(), labels.tolist(), images, strict=True):
            assert row not in found
            found[row] = shard.file, label, image
    return found


def test_the_files(dataset: Path) -> None:
    assert sorted(os.listdir(dataset)) == [
        "_SUCCESS",
        "_source.json",
        "dataset.json",
        "dataset_info.json",
        "features.json",
        *(f"images-train.tfrecord-{index:05}-of-00005" for index in range(5)),
        "images-validation.tfrecord-00000-of-00001",
        "quarantine.jsonl",
        "sources.parquet",
    ]
    assert (dataset / "_SUCCESS").read_bytes() == b""
    assert (dataset / "quarantine.jsonl").read_bytes() == b""


def test_dataset_json(dataset: Path) -> None:
    text = (dataset / "dataset.json").read_text("utf-8")
    content = json.loads(text)
    splits = content.pop("splits")
    options = content.pop("options")
    assert content == {
        "format_version": 1,
        "name": "images",
        "image": {
            "height": 8,
            "width": 12,
            "channels": 3,
            "encoding": "raw",
            "quality": None,
            "crop": None,
            "resample": "bicubic",
            "alpha": "drop",
            "pad_crop": False,
            "exif": False,
            "fast_decode": False,
            "row_boxes": False,
            "max_pixels": 50_000_000,
        },
        "outputs": [{"name": "y0", "vocabulary": "y0"}, {"name": "y1", "vocabulary": "y0"}],
        "layout": {"stride": STRIDE, "label_offset": 30, "row_offset": 53, "image_offset": 77},
        "plan_id": content["plan_id"],
        "manifest_sha256": sha256_file(str(dataset.parent / "m.csv")),
        "vocabularies": {"y0": list("0123456789abcdef")},
    }
    assert {split: [s["records"] for s in c["shards"]] for split, c in splits.items()} == {
        "train": [8, 8, 8, 8, 4],
        "validation": [4],
    }
    for shard in (shard for content in splits.values() for shard in content["shards"]):
        path = dataset / shard["file"]
        assert (path.stat().st_size, digests(dataset)[path.name]) == (
            shard["bytes"],
            shard["sha256"],
        )
    assert options["seed"] == 1
    # Nothing of this machine, this run or its place.
    assert str(dataset.parent) not in text
    assert not {"workers", "root", "dataset", "manifest", "max_bad_fraction"} & set(options)


def test_every_record(dataset: Path) -> None:
    records = all_records(dataset)
    assert sorted(records) == list(range(NUM_ROWS))
    for row, (_, label, pixels) in records.items():
        assert label == [row // 16, row % 16]
        with Image.open(dataset.parent / f"i/{row}.png") as source:
            np.testing.assert_array_equal(pixels, np.asarray(source))


def test_records_are_shuffled_or_stay_in_the_manifests_order(
    dataset: Path, sources: Path, tmp_path: Path
) -> None:
    shuffled = list(all_records(dataset))
    assert shuffled != sorted(shuffled)
    convert(sources / "m.csv", tmp_path / "out", order="source", seed=1)
    train = [row for row, (file, _, _) in all_records(tmp_path / "out").items() if "train" in file]
    assert train == sorted(train)


@pytest.mark.parametrize("more", [{"workers": 3}, {"max_bad_fraction": 0.5}, {"root": None}])
def test_what_changes_no_byte(
    dataset: Path, sources: Path, tmp_path: Path, more: dict[str, Any]
) -> None:
    options = {"shard_bytes": 8 * STRIDE + 5, "seed": 1, **more}
    if "root" in more:  # the same sources elsewhere
        (tmp_path / "there").symlink_to(sources)
        options["root"] = str(tmp_path / "there")
    convert(sources / "m.csv", tmp_path / "out", **options)
    assert digests(tmp_path / "out") == digests(dataset)


def test_the_shard_size_changes_no_record(dataset: Path, sources: Path, tmp_path: Path) -> None:
    convert(sources / "m.csv", tmp_path / "out", seed=1)
    one, many = all_records(tmp_path / "out"), all_records(dataset)
    assert list(one) == list(many)
    assert all(np.array_equal(one[row][2], many[row][2]) for row in one)


# Rows that are left out


def bad_sources(folder: Path) -> tuple[Path, list[tuple[str, str, str, str]]]:
    """Makes a manifest with a row of each kind: path, label, and what becomes of it."""
    files = folder / "files"
    (files / "folder").mkdir(parents=True)
    (folder / "secret.png").write_bytes(png())
    (files / "good.png").write_bytes(png())
    (files / "png.jpg").write_bytes(png())
    (files / "empty.png").write_bytes(b"")
    (files / "short.png").write_bytes(png()[:50])
    (files / "small.png").write_bytes(png((11, 8)))
    (files / "page.png").write_bytes(b"<html>not found</html>")
    (files / "link-inside.png").symlink_to("good.png")
    (files / "link-outside.png").symlink_to("../secret.png")
    (files / "loop.png").symlink_to("loop.png")
    (files / "folder-outside").symlink_to("..")
    os.mkfifo(files / "pipe.png")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(files / "socket.png"))
    formats = "PNG, JPEG, BMP, GIF, TIFF, WEBP"

    def outside(place: str) -> tuple[str, str]:
        further = "--allow DIR lets a further folder in"
        return "outside_root", f"leads out of --root, to {place} from there; {further}"

    pipe = ("not_a_file", "a pipe, socket or device, expected an image file")
    rows = [
        ("good.png", "x", "", ""),
        ("missing.png", "x", "missing", "no such file"),
        ("nowhere/missing.png", "x", "missing", "no such file"),
        ("good.png/inside.png", "x", "missing", "a folder of its path is a file"),
        ("folder", "x", "not_a_file", "a folder, expected an image file"),
        ("folder/", "x", "not_a_file", "a folder, expected an image file"),
        ("folder/../good.png", "x", "", ""),  # it does not leave the root
        ("pipe.png", "x", *pipe),
        ("socket.png", "x", *pipe),
        ("../secret.png", "x", *outside("../secret.png")),
        (str(folder / "secret.png"), "x", *outside("../secret.png")),
        ("link-outside.png", "x", *outside("../secret.png")),
        ("folder-outside/secret.png", "x", *outside("../secret.png")),
        ("link-inside.png", "x", "", ""),
        (str(files / "good.png"), "x", "", ""),  # absolute, but inside
        ("loop.png", "x", "not_a_file", "a link to itself, expected an image file"),
        ("é" * 200 + ".png", "x", "missing", "its path is too long"),
        ("a\0b.png", "x", "missing", "its path has a null byte"),
        ("empty.png", "x", "empty_file", "the file has 0 bytes"),
        ("short.png", "x", "truncated", "the PNG ends after 50 bytes, inside a chunk"),
        (
            "page.png",
            "x",
            "unknown_format",
            f"an HTML page, starts with b'<html>no', expected one of {formats}",
        ),
        (
            "small.png",
            "x",
            "box_outside",
            "the box 0 0 12 8 reaches past the image, 11x8",
        ),
        ("png.jpg", "x", "", ""),  # the content counts
        ("good.png", "", "label_missing", "no label for y0"),
        ("", "x", "path_missing", "the path is empty"),
    ]
    manifest = write_manifest(folder / "m.csv", ["path", "y0"], [row[:2] for row in rows])
    return manifest, rows


def test_each_bad_row_is_written_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    manifest, rows = bad_sources(tmp_path)
    options = {"root": str(tmp_path / "files"), "crop": (0, 0, 12, 8), "size": None}
    options |= {"max_bad_fraction": 1, "split": (("train", 1.0),)}
    result = convert(manifest, tmp_path / "out", **options)
    expected = [
        {"row": row, "path": path, "reason": reason, "detail": detail}
        for row, (path, _, reason, detail) in enumerate(rows)
        if reason
    ]
    lines = (tmp_path / "out/quarantine.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line) for line in lines] == expected
    assert lines[0] == (
        '{"row": 1, "path": "missing.png", "reason": "missing", "detail": "no such file"}'
    )
    good = {row for row, (_, _, reason, _) in enumerate(rows) if not reason}
    assert set(all_records(tmp_path / "out")) == good  # nothing is renumbered
    assert (result.rows, result.records, result.quarantined) == (len(rows), len(good), len(lines))


def test_too_many_bad_rows_then_repaired(sources: Path, tmp_path: Path, dataset: Path) -> None:
    draw_sources(tmp_path, NUM_ROWS)
    (tmp_path / "i/3.png").unlink()
    (tmp_path / "i/5.png").write_bytes(b"")
    (tmp_path / "i/7.png").unlink()
    options = {"shard_bytes": 8 * STRIDE + 5, "seed": 1, "max_bad_fraction": 0.05}
    with pytest.raises(TooManyBadRowsError) as caught:
        convert(tmp_path / "m.csv", tmp_path / "out", **options)
    assert str(caught.value) == (
        "3 of 40 rows are bad, more than --max-bad-fraction 0.05 allows: "
        "2 missing (row 3, i/3.png: no such file); "
        "1 empty_file (row 5, i/5.png: the file has 0 bytes). "
        "What helps: for missing, --root DIR names the folder that paths start from, if it is not "
        f"{tmp_path} (2 files are missing there); "
        "for empty_file, fetch or make the empty files again. "
        "Or raise --max-bad-fraction, which leaves all these rows out."
    )
    assert not (tmp_path / "out").exists()
    for row in (3, 5, 7):
        (tmp_path / f"i/{row}.png").write_bytes(png(seed=row))
    result = convert(tmp_path / "m.csv", tmp_path / "out", **options)
    assert 0 < result.resumed_rows < NUM_ROWS - 3
    assert digests(tmp_path / "out") == digests(dataset)


@pytest.mark.parametrize(
    ("limit", "allowed"),
    [
        (0.05, True),  # 2 of 40 is not more than 5 %
        (0.049, False),
        (0, False),
    ],
)
def test_the_limit_is_inclusive(tmp_path: Path, limit: float, allowed: bool) -> None:
    draw_sources(tmp_path, NUM_ROWS)
    for row in (3, 7):
        (tmp_path / f"i/{row}.png").unlink()
    config: ConvertConfig = options_of(tmp_path / "m.csv", tmp_path / "o", max_bad_fraction=limit)
    if allowed:
        assert convert_dataset(config).quarantined == 2
    else:
        with pytest.raises(TooManyBadRowsError):
            convert_dataset(config)


def test_a_shard_that_lost_all_its_rows_is_empty(tmp_path: Path) -> None:
    draw_sources(tmp_path, 10)
    (tmp_path / "i/4.png").unlink()
    options = {"split": (("train", 1.0),), "order": "source", "shard_bytes": 1}
    result = convert(tmp_path / "m.csv", tmp_path / "out", max_bad_fraction=1, **options)
    shards = result.info.splits["train"]
    assert [shard.records for shard in shards] == [1, 1, 1, 1, 0, 1, 1, 1, 1, 1]
    assert (tmp_path / "out" / shards[4].file).read_bytes() == b""


def test_nothing_left_is_an_error_at_any_limit(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("path,y0\n,a\n,b\n", encoding="utf-8")
    paths = {"manifest": str(tmp_path / "m.csv"), "dataset": str(tmp_path / "out")}
    with pytest.raises(TooManyBadRowsError) as raised:
        convert_dataset(ConvertConfig(**paths, size=(4, 4), max_bad_fraction=1))
    assert str(raised.value) == (
        "2 of 2 rows are bad, so nothing is left: 2 path_missing (row 0, : the path is empty). "
        "What helps: for path_missing, name an image file in each row."
    )
