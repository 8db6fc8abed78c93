"""Reading PNG and JPEG records at random: the same batches as from raw ones, all damage named."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convert.dataset.read import open_folder, read_dataset
from convert.dataset.shard_records import ShardRecords
from convert.errors import FormatError
from train.errors import RecordError
from train.input import load_dataset
from train.input.open_source import open_source

REPAIR = "Restore the file from a copy, or convert again with --overwrite."


def test_the_reader_gives_the_same_batches_as_from_raw(encoded_datasets: dict[str, Path]) -> None:
    raw, png = (open_source(encoded_datasets[name], "train", 1).reader for name in ("raw", "png"))
    order = np.random.default_rng(0).integers(0, raw.num_records, 100)  # with repetitions
    for mine, other in zip(png.gather(order), raw.gather(order), strict=True):
        assert (mine.dtype, mine.shape) == (other.dtype, other.shape)
        assert np.array_equal(mine, other)
    assert np.array_equal(png.rows(order), raw.rows(order))


def test_load_dataset(encoded_datasets: dict[str, Path]) -> None:
    raw, png = (
        list(load_dataset(str(encoded_datasets[name]), "train", batch_size=8).as_numpy_iterator())
        for name in ("raw", "png")
    )
    assert len(raw) == len(png) > 1
    for (images, labels), (other_images, other_labels) in zip(raw, png, strict=True):
        assert np.array_equal(images, other_images)
        assert all(np.array_equal(labels[name], other_labels[name]) for name in labels)


@pytest.fixture
def copy(encoded_datasets: dict[str, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(encoded_datasets["png"], tmp_path / "copy"))


def read_all(dataset: Path) -> None:
    reader = open_source(dataset, "train", 1).reader
    reader.gather(np.arange(reader.num_records))


def test_a_flipped_byte_is_found(copy: Path) -> None:
    shard = sorted(copy.glob("*train*-of-?????"))[1]
    number, (offset, length) = 3, (0, 0)
    lines = (copy / f"{shard.name}.idx").read_text().splitlines()
    offset, length = map(int, lines[number].split())
    data = bytearray(shard.read_bytes())
    info = read_dataset(str(copy))
    place = [s.file for s in info.splits["train"]].index(shard.name)
    row = ShardRecords(open_folder(str(copy)), info, info.splits["train"][place]).row(number)
    data[offset + length - 100] ^= 1
    shard.write_bytes(data)
    with pytest.raises(RecordError) as caught:
        read_all(copy)
    assert str(caught.value) == (
        f"{shard}: record {number} (manifest row {row}, strips/000/{row:06}.png) is damaged: its "
        f"CRC is wrong. {REPAIR}"
    )


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text[:-2], "it is not one `offset length` a line"),
        (lambda text: b"x" + text, "it is not one `offset length` a line"),
        (lambda text: text.partition(b"\n")[2], "it lists 11 records, expected 12"),
        (lambda text: b"0 1\n" + text.partition(b"\n")[2], "its records do not follow each other"),
    ],
)
def test_a_damaged_index_is_refused(copy: Path, damage: Any, message: str) -> None:
    index = sorted(copy.glob("*train*.idx"))[0]
    index.write_bytes(damage(index.read_bytes()))
    with pytest.raises(FormatError) as caught:
        read_all(copy)
    assert str(caught.value) == f"{index}: {message}. {REPAIR}"
