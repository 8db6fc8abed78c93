"""Records that hold PNG or JPEG files: an index beside each shard, and the right pixels."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from convert_cases import (
    BOX,
    SAMPLE,
    SIZE,
    command,
    convert,
    digests,
    draw_sources,
    sample_rows,
)
from PIL import Image

from convert.config import ConvertConfig
from convert.dataset.index import index_text, parse_index
from convert.dataset.parser import parse_dataset
from convert.dataset.read import open_folder, read_dataset
from convert.dataset.shard_records import ShardRecords
from convert.errors import FormatError, UsageError
from convert.images import ImageOptions, render, to_array

NUM_ROWS = 40
ENCODED = pytest.mark.parametrize("encoding", ["png", "jpeg"])
REPAIR = "Restore the file from a copy, or convert again with --overwrite."


def records(dataset: Path) -> dict[int, tuple[list[int], bytes]]:
    """Returns labels and image content of each row."""
    info = read_dataset(str(dataset))
    found = {}
    for shards in info.splits.values():
        for shard in shards:
            read = ShardRecords(open_folder(str(dataset)), info, shard)
            for number in range(len(read)):
                assert read.layout(number).matches(read[number])
                assert read.layout(number).crc_ok(read[number])
                found[read.row(number)] = (read.labels(number).tolist(), read.image(number))
    return found


def decoded(content: bytes, kind: str) -> np.ndarray:
    with Image.open(BytesIO(content), formats=[kind.upper()]) as image:
        assert image.info.keys() <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
        return np.asarray(image)


def test_png_records_hold_exactly_the_raw_pixels(encoded_datasets: dict[str, Path]) -> None:
    raw, png = records(encoded_datasets["raw"]), records(encoded_datasets["png"])
    assert sorted(raw) == sorted(png) == list(range(NUM_ROWS))
    for row, (labels, content) in png.items():
        assert labels == raw[row][0]
        assert decoded(content, "png").tobytes() == raw[row][1]


def test_jpeg_records_hold_nearly_the_raw_pixels(encoded_datasets: dict[str, Path]) -> None:
    raw, jpeg = records(encoded_datasets["raw"]), records(encoded_datasets["jpeg"])
    for row, (labels, content) in jpeg.items():
        assert labels == raw[row][0]
        pixels = np.frombuffer(raw[row][1], np.uint8).reshape(SIZE[1], SIZE[0], 3)
        difference = np.abs(decoded(content, "jpeg").astype(int) - pixels)
        assert 0 < difference.mean() < 8


def test_quality_changes_the_size(forty_rows: Path, tmp_path: Path) -> None:
    options = {"root": str(SAMPLE), "crop": BOX, "size": SIZE, "encoding": "jpeg"}
    sizes = []
    for quality in (30, None, 100):
        result = convert(forty_rows, tmp_path / str(quality), quality=quality, **options)
        sizes.append(sum(size for size, _ in result.info.files().values()))
        assert result.info.image.quality == (quality or 90)
    assert sizes == sorted(set(sizes))


@ENCODED
def test_grey_images(encoded_datasets: dict[str, Path], encoding: str) -> None:
    options = ImageOptions(crop=BOX, size=SIZE, channels=1, encoding=encoding)  # type: ignore[arg-type]
    data = (SAMPLE / sample_rows()[0]["path"]).read_bytes()
    grey = decoded(render(data, options).content, encoding)
    raw = ImageOptions(crop=BOX, size=SIZE, channels=1)
    expected = to_array(render(data, raw), raw)[..., 0]
    assert grey.shape == (32, 128)
    assert np.abs(grey.astype(int) - expected).mean() < (1e-9 if encoding == "png" else 4)


@ENCODED
def test_the_index_tells_where_each_record_is(
    encoded_datasets: dict[str, Path], encoding: str
) -> None:
    info = read_dataset(str(encoded_datasets[encoding]))
    shards = [shard for listed in info.splits.values() for shard in listed]
    assert len(shards) > 2
    for shard in shards:
        lines = (encoded_datasets[encoding] / f"{shard.file}.idx").read_text().splitlines()
        data = (encoded_datasets[encoding] / shard.file).read_bytes()
        assert len(lines) == shard.records
        end = 0
        for offset, length in (map(int, line.split(" ")) for line in lines):
            assert offset == end
            assert int.from_bytes(data[offset : offset + 8], "little") == length - 16
            end += length
        assert end == len(data) == shard.bytes
    assert json.loads((encoded_datasets[encoding] / "dataset.json").read_text())["layout"] is None


def test_raw_shards_have_no_index(encoded_datasets: dict[str, Path]) -> None:
    assert not list(encoded_datasets["raw"].glob("*.idx"))
    assert "index" not in (encoded_datasets["raw"] / "dataset.json").read_text()


@ENCODED
def test_any_number_of_workers_and_an_interruption_give_the_same_bytes(
    tmp_path: Path, encoding: str
) -> None:
    draw_sources(tmp_path, 20)
    words = ["--size", 12, 8, "--encoding", encoding, "--shard-bytes", 1000]
    command("m.csv", "one", *words, "--workers", 1, cwd=tmp_path)
    command("m.csv", "three", *words, "--workers", 3, cwd=tmp_path)
    assert digests(tmp_path / "one") == digests(tmp_path / "three")


def test_a_lost_index_is_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interrupted run whose staging lost an index redoes that shard."""
    options: dict[str, Any] = {"encoding": "png", "shard_bytes": 1000}
    manifest = draw_sources(tmp_path, 20)
    convert(manifest, tmp_path / "whole", **options)

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("convert.write.staging.put_in_place", stop)
        with pytest.raises(KeyboardInterrupt):
            convert(manifest, tmp_path / "out", **options)
    first, second, *_ = sorted(tmp_path.glob(".out.staging-*/dataset/*.idx"))
    first.unlink()
    second.write_bytes(second.read_bytes()[:-1] + b"0")
    result = convert(manifest, tmp_path / "out", **options)
    assert 0 < result.resumed_rows < 20
    assert digests(tmp_path / "out") == digests(tmp_path / "whole")


@ENCODED
def test_tensorflow_datasets_decodes_them(encoded_datasets: dict[str, Path], encoding: str) -> None:
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(encoded_datasets[encoding])
    expected = records(encoded_datasets[encoding])
    found = set()
    for split in builder.info.splits:
        for record in builder.as_dataset(split=split).as_numpy_iterator():
            row = int(record["row"])
            labels, content = expected[row]
            assert record["label"].tolist() == labels
            difference = record["image"].astype(int) - decoded(content, encoding)
            # TensorFlow takes the faster and coarser of libjpeg's transforms.
            assert np.abs(difference).mean() <= (0 if encoding == "png" else 2)
            found.add(row)
    assert found == set(range(NUM_ROWS))


def test_index_of_nothing() -> None:
    assert index_text([]) == ""
    assert parse_index(b"", 0, 0).tolist() == [0]
    assert parse_index(index_text([5, 7]).encode(), 2, 12).tolist() == [0, 5, 12]
    with pytest.raises(ValueError, match="its records end at byte 12, expected 13"):
        parse_index(index_text([5, 7]).encode(), 2, 13)


# Options, and what dataset.json may say


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"quality": 80}, "--quality needs --encoding jpeg: the other encodings lose nothing."),
        (
            {"quality": 80, "encoding": "png"},
            "--quality needs --encoding jpeg: the other encodings lose nothing.",
        ),
        ({"quality": 0, "encoding": "jpeg"}, "--quality must be in [1, 100], got 0."),
        ({"quality": 101, "encoding": "jpeg"}, "--quality must be in [1, 100], got 101."),
        ({"encoding": "gif"}, "--encoding cannot be 'gif'."),
    ],
)
def test_options_that_do_not_fit(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        ConvertConfig(manifest="m.csv", dataset="d", size=(1, 1), **options)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("index_bytes", -1),
        ("index_bytes", 10**9),
        ("index_bytes", None),
        ("index_sha256", "0"),
        ("bytes", 0),
        ("bytes", 3),
        ("records", 0),
        ("records", -1),
    ],
)
def test_sizes_that_cannot_be_are_refused(
    encoded_datasets: dict[str, Path], key: str, value: object
) -> None:
    content = json.loads((encoded_datasets["png"] / "dataset.json").read_text("utf-8"))
    parse_dataset(json.dumps(content), "d")
    split = content["splits"]["train"]
    split["records"] += (value - split["shards"][0][key]) if key == "records" else 0  # type: ignore[operator]
    split["shards"][0][key] = value
    with pytest.raises(FormatError):
        parse_dataset(json.dumps(content), "d")
