"""Reading at random: every record right, and every kind of damage named."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from convert.dataset.read import read_dataset
from convert.dataset.record import RecordLayout, padded_varints
from train.errors import FormatError, RecordError, UsageError
from train.input.open_source import open_source

SHARD = "images-train.tfrecord-00001-of-00004"
REPAIR = "Restore the file from a copy, or convert again with --overwrite."


@pytest.fixture
def dataset(small_dataset, tmp_path):
    """A copy that a test may damage."""
    return shutil.copytree(small_dataset, tmp_path / "strips")


def open_reader(path, **options):
    return open_source(path, "train", 1, **options).reader


def by_hand(path):
    """Returns images, labels and rows read with nothing but offsets."""
    info = read_dataset(str(path))
    layout = info.layout
    data = b"".join((path / shard.file).read_bytes() for shard in info.splits["train"])
    records = np.frombuffer(data, np.uint8).reshape(-1, layout.stride)
    pixels = records[:, layout.image_offset : layout.image_offset + layout.image_bytes]
    groups = records[:, layout.label_offset :][:, : 5 * layout.num_labels] & 0x7F
    labels = (groups.reshape(len(records), -1, 5).astype(int) << [0, 7, 14, 21, 28]).sum(axis=2)
    return pixels.reshape(-1, *info.image_shape), labels


def test_records_are_those_of_the_shards(small_dataset):
    images, labels = by_hand(small_dataset)
    reader = open_reader(small_dataset)
    order = np.random.default_rng(0).integers(0, reader.num_records, 200)  # with repetitions
    got_images, got_labels = reader.gather(order)
    assert reader.num_records == 90
    assert reader.shard_records == [25, 25, 25, 15]
    assert np.array_equal(got_images, images[order])
    assert np.array_equal(got_labels, labels[order])
    assert (got_images.dtype, got_labels.dtype) == (np.uint8, np.int32)


def test_rows_lead_back_to_the_manifest(small_dataset, sample_rows):
    reader = open_reader(small_dataset)
    rows = reader.rows(np.arange(90))
    assert sorted(rows.tolist()) == list(range(90))
    _, labels = reader.gather(np.arange(90))
    classes = list(read_dataset(str(small_dataset)).classes.values())
    for row, label in zip(rows, labels, strict=True):
        expected = [sample_rows[row][f"y{i}"] for i in range(4)]
        assert [names[index] for names, index in zip(classes, label, strict=True)] == expected


def test_a_batch_keeps_its_memory_while_somebody_has_it(small_dataset):
    reader = open_reader(small_dataset)
    kept = [reader.gather(np.array([i, i + 1]))[0] for i in range(20)]
    again = [reader.gather(np.array([i, i + 1]))[0].copy() for i in range(20)]
    assert all(np.array_equal(a, b) for a, b in zip(kept, again, strict=True))


def test_images_are_aligned_and_the_callers_own(small_dataset):
    """TensorFlow copies arrays that do not start at a multiple of 64."""
    reader = open_reader(small_dataset)
    for size in (1, 2, 7, 64):
        images, _ = reader.gather(np.arange(size))
        assert images.ctypes.data % 64 == 0
        images[:] = 0
    assert reader.gather(np.arange(1))[0].any()


@pytest.mark.parametrize("place", [0, 40, 63, 87, 5_000, 12_378])
def test_a_flipped_byte_is_found_and_named(dataset, place):
    number = 7  # of the shard's records; neither the first nor the last, which opening looks at
    layout = read_dataset(str(dataset)).layout
    rows = open_reader(dataset).rows(np.arange(25, 50))
    data = bytearray((dataset / SHARD).read_bytes())
    data[number * layout.stride + place] ^= 0x40
    (dataset / SHARD).write_bytes(data)
    reader = open_reader(dataset)
    reader.gather(np.arange(25, 32))
    with pytest.raises(RecordError) as raised:
        reader.gather(np.arange(30, 34))
    where = f"{rows[number]}, strips/000/{rows[number]:06}.png"
    if place == 63:  # the row itself
        where = raised.value.args[0].split("row ")[1].split(")")[0]
    assert str(raised.value) == (
        f"{dataset / SHARD}: record 7 (manifest row {where}) is damaged: its CRC is wrong. {REPAIR}"
    )
    assert reader.failure is raised.value


def test_a_label_out_of_range_is_found(dataset):
    """A model would turn it into an exception on a CPU and into NaN elsewhere."""
    info = read_dataset(str(dataset))
    layout: RecordLayout = info.layout
    data = bytearray((dataset / SHARD).read_bytes())
    image = bytes(layout.image_bytes)
    label = padded_varints(np.array([0, 0, 0, 100])).tobytes()
    record = b"".join(layout.encode(label, padded_varints(np.array([3])).tobytes(), image))
    data[2 * layout.stride : 3 * layout.stride] = record
    (dataset / SHARD).write_bytes(data)
    with pytest.raises(RecordError) as raised:
        open_reader(dataset).gather(np.array([27]))
    assert str(raised.value) == (
        f"{dataset / SHARD}: record 2 (manifest row 3, strips/000/000003.png) has a label out of "
        f"range: y3 is 100, of 100 classes. {REPAIR}"
    )


def test_a_missing_shard(dataset):
    (dataset / SHARD).unlink()
    with pytest.raises(FormatError) as raised:
        open_reader(dataset)
    assert str(raised.value) == (
        f"{dataset / SHARD}: cannot be read: No such file or directory. {REPAIR}"
    )


def test_a_short_shard(dataset):
    with (dataset / SHARD).open("r+b") as file:
        file.truncate(1000)
    with pytest.raises(FormatError) as raised:
        open_reader(dataset)
    assert str(raised.value) == f"{dataset / SHARD}: 1000 bytes, expected 309475. {REPAIR}"


def test_a_foreign_shard(dataset):
    (dataset / SHARD).write_bytes(bytes(309475))
    with pytest.raises(RecordError) as raised:
        open_reader(dataset)
    assert str(raised.value) == f"{dataset / SHARD}: record 0 is not one of this dataset. {REPAIR}"


def test_no_such_split(small_dataset):
    with pytest.raises(UsageError) as raised:
        open_source(small_dataset, "test", 1)
    assert str(raised.value) == (
        f"{small_dataset}: no split 'test'; the dataset has train, validation."
    )
