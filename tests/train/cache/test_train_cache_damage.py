"""Shards of a cache that are damaged, here or where they come from, and images under our eyes."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from cache_cases import cached_files, fill, require_same, through

from convert.dataset.read import read_dataset
from train.errors import FormatError, RecordError, TryAgainError
from train.input.open_source import open_source
from train.records.reading.encoded import EncodedReader


def damage(path, at=5000):
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 1]))


@pytest.mark.parametrize("harm", [damage, lambda path: os.truncate(path, 100)])
def test_a_file_damaged_since_is_fetched_again(many_shards, tmp_path, far_disk, harm):
    fill(many_shards, tmp_path)
    name, path = sorted(cached_files(tmp_path).items())[3]
    harm(path)
    far_disk.streamed.clear()
    require_same(through(many_shards, tmp_path, 9), open_source(many_shards, "train", 8))
    (file,) = far_disk.streamed
    shard = next(s for s in read_dataset(str(many_shards)).splits["train"] if s.file == file)
    assert name == f"{shard.sha256}-{shard.bytes}"


@pytest.mark.parametrize("verify", ["first", "always"])
def test_a_record_damaged_under_our_eyes_is_fetched_again(many_shards, tmp_path, far_disk, verify):
    source = through(many_shards, tmp_path, 9, verify_records=verify, batch_size=90)
    source.reader.gather(np.array([3]))  # the digest was right when the shard was opened
    first = source.reader.files[0].shard
    damage(cached_files(tmp_path)[f"{first.sha256}-{first.bytes}"], at=7 * 12379 + 5000)
    far_disk.streamed.clear()
    plain = open_source(many_shards, "train", 90)
    require_same(source, plain, [0, 1])
    assert far_disk.streamed.count(first.file) == 1
    assert not source.reader.bad_records


@pytest.mark.parametrize("change", [lambda p: p[:-1] + b"!", lambda p: p[:-1], lambda p: p + b"!"])
def test_a_shard_that_is_wrong_where_it_comes_from_is_named(
    many_shards, tmp_path, far_disk, change
):
    victim = read_dataset(str(many_shards)).splits["train"][2].file
    far_disk.change = lambda path, piece: change(piece) if path.endswith(victim) else piece
    source = through(many_shards, tmp_path, 9)
    with pytest.raises(RecordError) as caught:
        source.batch(0, 0)
    assert str(caught.value) == (
        f"{many_shards / victim}: its sha256 is not that of its dataset.json, 2 times in a row. "
        "Restore the file from a copy, or convert again with --overwrite."
    )
    assert source.reader.failure is caught.value
    assert far_disk.streamed.count(victim) in (2, 4)  # ahead, and when it is needed
    digest = read_dataset(str(many_shards)).splits["train"][2].sha256
    assert not any(name.startswith(digest) for name in cached_files(tmp_path))


def test_a_shard_is_not_taken_from_whoever_holds_it(many_shards, tmp_path):
    source = through(many_shards, tmp_path, 9)
    far, shards = source.reader.far, np.array([3])
    with ThreadPoolExecutor(1) as pool:
        with far.holding(shards):
            before = far.memory(3).copy()
            again = pool.submit(far.fetch_again, shards)
            while not far._turns:
                time.sleep(0.001)
            assert np.array_equal(far.memory(3), before)
            assert not again.done()
        assert again.result()
    assert not far.fetch_again(shards)  # once is enough
    with far.holding(shards):
        assert np.array_equal(far.memory(3), before)


def test_an_image_damaged_under_our_eyes_is_fetched_again(encoded_datasets, tmp_path):
    """Found by the decoder, where nobody compares CRCs."""
    options = {"batch_size": 4, "shuffle": False, "verify_records": "off"}
    source = open_source(
        encoded_datasets["png"], "train", **options, cache=str(tmp_path), cache_bytes=10**7
    )
    source.reader.gather(np.array([1]))
    start, stop = source.reader.byte_range(0, 0, 1)
    first = source.reader.files[0].shard
    with cached_files(tmp_path)[f"{first.sha256}-{first.bytes}"].open("r+b") as file:
        file.seek((start + stop) // 2)
        file.write(bytes((stop - start) // 4))
    require_same(source, open_source(encoded_datasets["png"], "train", **options), [0])
    assert source.reader.far.totals().misses == len(source.reader.files) + 1


def test_no_image_is_decoded_when_its_shard_is_let_go(encoded_datasets, monkeypatch):
    """An error in one thread ends the batch when the others are done."""
    reader = open_source(encoded_datasets["png"], "train", 4).reader
    begun, running = threading.Event(), []

    def decode(self, image, number, content):
        if number == 0:
            assert begun.wait(60)
            raise MemoryError
        running.append(number)
        begun.set()
        time.sleep(0.01)
        running.remove(number)

    monkeypatch.setattr(EncodedReader, "_decode_into", decode)
    with pytest.raises(MemoryError):
        reader._read(np.arange(reader.num_records))
    assert not running


def test_a_fetch_that_goes_wrong_once_is_repeated(many_shards, tmp_path, far_disk):
    victim = read_dataset(str(many_shards)).splits["train"][2].file
    far_disk.change = lambda path, piece: (
        piece[:-1] + b"!" if far_disk.streamed.count(victim) == 1 and victim in path else piece
    )
    require_same(through(many_shards, tmp_path, 9), open_source(many_shards, "train", 8), [0])
    assert far_disk.streamed.count(victim) == 2


def test_a_shard_that_is_missing_is_told_at_once(many_shards, tmp_path):
    copy = shutil.copytree(many_shards, tmp_path / "copy")
    victim = copy / read_dataset(str(copy)).splits["train"][2].file
    victim.unlink()
    with pytest.raises(FormatError) as caught:
        through(copy, tmp_path / "cache", 9)
    assert str(caught.value) == (
        f"{victim}: no such file. Restore the file from a copy, or convert again with --overwrite."
    )


def test_a_shard_that_vanishes_is_told_when_it_is_needed(many_shards, tmp_path):
    copy = shutil.copytree(many_shards, tmp_path / "copy")
    source = through(copy, tmp_path / "cache", 9)
    for shard in copy.glob("*.tfrecord-*"):
        shard.unlink()
    with pytest.raises(FormatError, match="cannot be read: No such file or directory"):
        source.batch(0, 0)


def test_a_disk_that_fails_for_now_is_told_so(many_shards, tmp_path, far_disk):
    def fail(path):
        raise OSError(5, "Input/output error", path)

    source = through(many_shards, tmp_path, 9)
    far_disk.before = fail
    with pytest.raises(TryAgainError, match="cannot be read: Input/output error"):
        source.batch(0, 0)
    far_disk.before = lambda path: None
    for _ in source.reader.files:  # what had begun by then may still fail
        with contextlib.suppress(TryAgainError):
            source.batch(0, 0)
    require_same(source, open_source(many_shards, "train", 8), [0])  # it goes on when it can
