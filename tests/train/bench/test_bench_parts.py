"""The parts of `train bench` that decide what it measures and says."""

from __future__ import annotations

import os
import shutil

import numpy as np
import pytest

from convert.dataset.read import open_dataset
from train.bench.batches import first_records, in_memory
from train.bench.cold import ColdRead, _descriptors, drop_from_cache, read_cold
from train.bench.config import BenchConfig
from train.bench.report import Rates, cold_note, opening, rounded
from train.bench.speed import Speed, timed
from train.errors import RecordError, ShardfeedError
from train.input.open_source import open_source


def rates(**changed) -> Rates:
    """Rates of a reader that is faster than the model, on a dataset that fits into memory."""
    usual = {
        "reader": 6_000.0, "reader_plain": 80_000.0, "disk": 40_000.0, "fits": True,
        "model": 500.0, "input_wait": 0.004, "batch_size": 32, "encoding": "raw",
    }  # fmt: skip
    return Rates(**usual | changed)


@pytest.mark.parametrize(
    ("changed", "bottleneck", "feeds", "sentence"),
    [
        ({}, "model", 6_000, "the model is the bottleneck: it takes 99.6% of a step; this reader "
         "could feed an accelerator of 6,000 images/s (80,000 with --no-augment); only a faster "
         "model or accelerator helps"),
        ({"reader": 165_678.0, "reader_plain": None}, "model", 165_678, "the model is the "
         "bottleneck: it takes 99.6% of a step; this reader could feed an accelerator of 166,000 "
         "images/s (40,000 in a first epoch from disk); only a faster model or accelerator helps"),
        ({"model": 20_000.0, "input_wait": 0.7}, "reader", 6_000, "the reader is the bottleneck: "
         "the model takes 20,000 images/s and waits 70.0% of the time; this reader could feed an "
         "accelerator of 6,000 images/s (80,000 with --no-augment); --no-augment, a larger "
         "--batch-size or more CPU cores would help"),
        # Augmentation is not what takes the time, batches are large already, images are PNG.
        ({"model": 20_000.0, "input_wait": 0.7, "reader_plain": 6_100.0, "encoding": "png",
          "batch_size": 128}, "reader", 6_000, "the reader is the bottleneck: the model takes "
         "20,000 images/s and waits 70.0% of the time; this reader could feed an accelerator of "
         "6,000 images/s; converting with --encoding raw or more CPU cores would help"),
        # It is faster alone, but not while the model computes on the same cores.
        ({"input_wait": 0.3, "reader": 600.0, "reader_plain": None, "batch_size": 128}, "cpu",
         600, "the CPU is the bottleneck: reader and model share it, and the model waits 30.0% of "
         "the time; this reader could feed an accelerator of 600 images/s; more CPU cores would "
         "help"),
        ({"fits": False, "disk": 300.0}, "disk", 300, "the disk is the bottleneck: the dataset is "
         "larger than memory, and the model takes 500 images/s; this reader could feed an "
         "accelerator of 300 images/s; a faster disk helps, or more memory"),
        # The disk is slower than the reader, and fast enough for the model.
        ({"fits": False, "disk": 1_000.0}, "model", 1_000, "the model is the bottleneck: it takes "
         "99.6% of a step; this reader could feed an accelerator of 1,000 images/s; only a faster "
         "model or accelerator helps"),
        # How fast the disk is, is not known.
        ({"fits": False, "disk": None, "reader_plain": None}, "model", 6_000, "the model is the "
         "bottleneck: it takes 99.6% of a step; this reader could feed an accelerator of 6,000 "
         "images/s; only a faster model or accelerator helps"),
    ],
)  # fmt: skip
def test_one_sentence_names_the_bottleneck(changed, bottleneck, feeds, sentence):
    found = rates(**changed)
    assert (found.bottleneck, found.feeds) == (bottleneck, feeds)
    assert found.sentence == sentence


@pytest.mark.parametrize(
    ("number", "text"),
    [(165_678.4, "166,000"), (999.6, "1,000"), (87.654, "87.7"), (4.0, "4"), (0.12345, "0.123")],
)
def test_numbers_have_three_digits(number, text):
    assert rounded(number) == text


def cold(**changed) -> ColdRead:
    """1 MB of images, in a tenth of a second."""
    speed = Speed(images=100, seconds=0.1, cpu_seconds=0.01)
    usual = {"speed": speed, "image_bytes": 1_000_000, "disk_bytes": 1_200_000, "dropped": True}
    return ColdRead(**usual | changed)


@pytest.mark.parametrize(
    ("changed", "rate", "share", "note"),
    [
        ({}, 12e6, 1.0, "12 MB/s, page cache emptied of the dataset before"),
        ({"disk_bytes": 950_000}, 9.5e6, 0.95, "9.5 MB/s, page cache emptied of the dataset "
         "before"),
        ({"disk_bytes": 120_000}, None, 0.12, "only 12% from disk: something keeps the rest in "
         "memory"),
        ({"disk_bytes": None}, 10e6, None, "10 MB/s, page cache emptied of the dataset before, if "
         "the system dropped it"),
        ({"dropped": False}, None, 1.0, "maybe from memory: the page cache cannot be emptied "
         "here"),
    ],
)  # fmt: skip
def test_the_disks_speed_is_told_where_it_is_known(changed, rate, share, note):
    found = cold(**changed)
    assert found.bytes_per_second == (None if rate is None else pytest.approx(rate))
    assert (found.share_from_disk, cold_note(found)) == (share, note)


@pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="the system has no posix_fadvise")
def test_every_file_is_dropped_whole(small_dataset, monkeypatch):
    dropped = []

    def fadvise(descriptor, offset, length, advice):
        dropped.append((os.readlink(f"/proc/self/fd/{descriptor}"), offset, length, advice))

    monkeypatch.setattr(os, "posix_fadvise", fadvise)
    paths = [os.path.realpath(file) for file in sorted(small_dataset.glob("*-train.*"))]
    assert len(paths) == 4
    source = open_source(small_dataset, "train", 16)
    assert drop_from_cache(_descriptors(source.reader))
    assert dropped == [(path, 0, 0, os.POSIX_FADV_DONTNEED) for path in paths]


def test_a_system_that_cannot_drop_says_so(small_dataset, monkeypatch):
    monkeypatch.delattr(os, "posix_fadvise", raising=False)
    assert not drop_from_cache([])


def read_patiently(dataset):
    config = BenchConfig(dataset=str(dataset), batch_size=20, seconds=60.0)
    return read_cold(config, open_dataset(config.dataset))


def test_a_cold_epoch_ends_with_its_records(small_dataset):
    found = read_patiently(small_dataset)
    assert (found.speed.images, found.image_bytes) == (80, 80 * 12379)


def test_a_damaged_record_is_one_line(small_dataset, tmp_path):
    """The error comes out of the process that reads."""
    shutil.copytree(small_dataset, tmp_path / "strips")
    shard = tmp_path / "strips" / "images-train.tfrecord-00001-of-00004"
    data = bytearray(shard.read_bytes())
    data[3 * 12379 + 500] ^= 1
    shard.write_bytes(data)
    with pytest.raises(RecordError, match=r"00001-of-00004: record 3 .* is damaged: its CRC"):
        read_patiently(tmp_path / "strips")


def die(config, dataset, answer):
    os._exit(7)


def test_a_reading_process_that_dies_is_one_line(small_dataset, monkeypatch):
    monkeypatch.setattr("train.bench.cold._serve", die)
    with pytest.raises(ShardfeedError) as raised:
        read_patiently(small_dataset)
    assert str(raised.value) == (
        f"{small_dataset}: the process that read it from disk died, with code 7. "
        f"Look at the files with `convert verify {small_dataset}`."
    )


def test_a_small_dataset_is_read_as_it_is(small_dataset):
    source = open_source(small_dataset, "train", 16)
    assert in_memory(source, None, 60.0) is source


@pytest.mark.parametrize(
    ("records", "seconds", "expected"),
    [
        (40, 60.0, 40),
        (40, 0.0, 30),  # no time for more than a batch: two calls of 20 records would be 40
        (5, 60.0, 30),  # one batch at least
    ],
)
def test_of_a_large_dataset_only_what_was_read_is_measured(
    small_dataset, monkeypatch, records, seconds, expected
):
    monkeypatch.setattr("train.bench.batches._BYTES", records * 12379)
    monkeypatch.setattr("train.bench.batches._RECORDS_PER_CALL", 15)
    source = open_source(small_dataset, "train", 30, seed=5)
    gathered = []
    gather = source.reader.gather
    monkeypatch.setattr(
        source.reader, "gather", lambda found: gathered.append(found) or gather(found)
    )
    some = in_memory(source, None, seconds)
    assert np.array_equal(np.concatenate(gathered), np.arange(expected))
    assert some.order.num_records == expected
    order = some.order.records(0, 0, expected)
    assert sorted(order) == list(range(expected))
    assert list(order) != sorted(order)
    assert len(some.batch(3, 0)[0]) == 30


@pytest.mark.parametrize(
    ("num_records", "expected"),
    [(0, [0, 0, 0]), (3, [3, 0, 0]), (4, [4, 0, 0]), (6, [4, 0, 2]), (9, [4, 0, 5])],
)
def test_first_records_of_shards(num_records, expected):
    assert first_records([4, 0, 5], num_records) == expected


@pytest.mark.parametrize(
    ("seconds", "skip", "images"),
    [
        (1e9, 0, 50),  # to the end
        (1e9, 2, 30),
        (0.0, 2, 10),  # one batch at least
    ],
)
def test_batches_are_timed_until_the_time_is_over(seconds, skip, images):
    assert timed(range(5), 10, seconds, skip).images == images


@pytest.mark.parametrize(
    ("augment", "where", "told"),
    [
        ("none", "", "not augmented"),
        ("default", "", "augmented"),
        ("strong", "", "augmented (strong)"),
        ("default", " on the device", "augmented on the device"),
        ("strong", " on the device", "augmented on the device (strong)"),
    ],
)
def test_the_opening_says_how_images_are_augmented(augment, where, told, tiny_dataset):
    config = BenchConfig(dataset=str(tiny_dataset), augment=augment)
    first, *_ = opening(config, open_dataset(str(tiny_dataset)).info, 64, "cpu", where)
    assert first.endswith(f"batches of 32, {told}")
