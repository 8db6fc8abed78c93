"""Readers that are not ours read every record as it was meant."""

import json
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import pytest
from convert_cases import BOX, PATIENCE, SAMPLE, SIZE, convert, sample_rows, write_manifest
from PIL import Image

NUM_ROWS = 60
WIDTH, HEIGHT = SIZE

# What a test compares: manifest row -> (class names, pixels).
Records = dict[int, tuple[list[str], np.ndarray]]


@pytest.fixture(scope="module")
def expected() -> Records:
    """The sample's first rows, straight from their files, with nothing but Pillow."""
    records: Records = {}
    kinds = set()
    for row, line in enumerate(sample_rows()[:NUM_ROWS]):
        with Image.open(SAMPLE / line["path"]) as image:
            kinds.add((image.format, image.mode))
            image.load()
            if image.mode == "P":
                image = image.convert("RGBA" if "transparency" in image.info else "RGB")
            pixels = np.asarray(image.crop(BOX).resize(SIZE))[..., :3]
        records[row] = ([line[f"y{i}"] for i in range(4)], pixels)
    assert len(kinds) == 4  # RGB, RGBA and palette PNG, and JPEG
    return records


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same rows as a dataset of several shards, in a folder whose name says nothing."""
    folder = tmp_path_factory.mktemp("readers")
    rows = [list(line.values()) for line in sample_rows()[:NUM_ROWS]]
    manifest = write_manifest(folder / "m.csv", ["path", "y0", "y1", "y2", "y3"], rows)
    options = {"root": str(SAMPLE), "crop": BOX, "size": SIZE, "shard_bytes": 200_000}
    result = convert(manifest, folder / "any Name, 3.1", **options)
    assert {split: len(shards) for split, shards in result.info.splits.items()} == {
        "train": 4,
        "validation": 1,
    }
    return Path(result.dataset)


def shards(dataset: Path) -> list[str]:
    return sorted(str(path) for path in dataset.glob("images-*"))


def check(dataset: Path, expected: Records, found: list[tuple[Any, Any, Any]]) -> None:
    """Compares every record (row, label, pixels) with its source."""
    description = json.loads((dataset / "dataset.json").read_text("utf-8"))
    names = [output["vocabulary"] for output in description["outputs"]]
    classes = [description["vocabularies"][name] for name in names]
    assert sorted(row for row, _, _ in found) == list(range(NUM_ROWS))
    for row, label, pixels in found:
        truth, truth_pixels = expected[row]
        assert [c[index] for c, index in zip(classes, label, strict=True)] == truth, row
        np.testing.assert_array_equal(pixels, truth_pixels, err_msg=f"row {row}")


def shaped(content: bytes | np.ndarray) -> np.ndarray:
    return np.frombuffer(content, np.uint8).reshape(HEIGHT, WIDTH, 3)


def test_tensorflow_parse_example(dataset: Path, expected: Records) -> None:
    import tensorflow as tf

    features = {
        "label": tf.io.FixedLenFeature([4], tf.int64),
        "row": tf.io.FixedLenFeature([], tf.int64),
        "image": tf.io.FixedLenFeature([], tf.string),
    }
    records = tf.data.TFRecordDataset(shards(dataset)).batch(7)
    batches = records.map(lambda batch: tf.io.parse_example(batch, features))
    found = [
        (int(row), label, shaped(image))
        for batch in batches.as_numpy_iterator()
        for row, label, image in zip(batch["row"], batch["label"], batch["image"], strict=True)
    ]
    check(dataset, expected, found)


def test_protobuf_example(dataset: Path, expected: Records) -> None:
    from tensorflow.core.example.example_pb2 import Example

    found = []
    for shard in shards(dataset):
        for payload in payloads(Path(shard).read_bytes()):
            feature = Example.FromString(payload).features.feature
            assert set(feature) == {"label", "row", "image"}
            (row,) = feature["row"].int64_list.value
            (image,) = feature["image"].bytes_list.value
            found.append((row, list(feature["label"].int64_list.value), shaped(image)))
    check(dataset, expected, found)


def payloads(content: bytes) -> Iterator[bytes]:
    """Yields the records of a TFRecord file, by its frame alone; all CRCs must be right."""
    start = 0
    while start < len(content):
        (length,) = struct.unpack_from("<Q", content, start)
        end = start + 12 + length
        for first, last in ((start, start + 8), (start + 12, end)):
            crc = google_crc32c.value(content[first:last])
            rotated = (crc >> 15 | crc << 17) & 0xFFFFFFFF
            stored = struct.pack("<I", (rotated + 0xA282EAD8) & 0xFFFFFFFF)
            assert content[last : last + 4] == stored
        yield content[start + 12 : end]
        start = end + 4


# Its protobuf definitions have the names of TensorFlow's: one process holds only one of them.
PYPI_TFRECORD = """
import sys
import numpy as np
from tfrecord.reader import tfrecord_loader

kinds = {"image": "byte", "label": "int", "row": "int"}
records = [r for shard in sys.argv[2:] for r in tfrecord_loader(shard, None, kinds)]
np.savez(sys.argv[1], **{key: np.stack([record[key] for record in records]) for key in kinds})
"""


def test_pypi_tfrecord(dataset: Path, expected: Records, tmp_path: Path) -> None:
    words = [str(tmp_path / "read.npz"), *shards(dataset)]
    subprocess.run([sys.executable, "-c", PYPI_TFRECORD, *words], check=True, timeout=PATIENCE)
    with np.load(tmp_path / "read.npz") as read:
        rows, labels, images = read["row"][:, 0].tolist(), read["label"], read["image"]
    check(dataset, expected, list(zip(rows, labels, map(shaped, images), strict=True)))


@pytest.mark.parametrize(
    "name",
    [
        None,  # the folder that it was converted into
        "images/1.0.0",  # what TFDS itself would call it
        "strips-3",  # another name altogether
    ],
)
def test_tensorflow_datasets(
    dataset: Path, expected: Records, tmp_path: Path, name: str | None
) -> None:
    import tensorflow_datasets as tfds

    folder = dataset
    if name:
        folder = tmp_path / name
        folder.parent.mkdir(exist_ok=True)
        folder.symlink_to(dataset)
    builder = tfds.builder_from_directory(folder)
    assert (builder.name, str(builder.version)) == ("images", "1.0.0")
    info = json.loads((dataset / "dataset.json").read_text("utf-8"))
    found = []
    for split, content in info["splits"].items():
        assert builder.info.splits[split].num_examples == content["records"]
        records = builder.as_dataset(split=split).as_numpy_iterator()
        found += [(int(r["row"]), r["label"], r["image"]) for r in records]
    assert {image.dtype for _, _, image in found} == {np.dtype(np.uint8)}
    check(dataset, expected, found)
