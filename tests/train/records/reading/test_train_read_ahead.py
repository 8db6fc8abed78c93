"""Reading ahead: the right parts in the right order, memory given back, nothing else changed."""

from __future__ import annotations

import gc
import os
import shutil
import threading
import time

import numpy as np
import pytest

import train.records.read_ahead
from train.input.open_source import open_source
from train.records.read_ahead import ReadAhead

STRIDE = 12_379


@pytest.fixture
def asked(monkeypatch):
    """What the thread is asked to read, as (file, first record, last record)."""
    ranges = []

    def read_ahead(file, start, stop):
        ranges.append((int(file.path[-14:-9]), start // STRIDE, stop // STRIDE))

    monkeypatch.setattr(train.records.read_ahead, "_read_ahead", read_ahead)
    return ranges


def settle(ranges, count):
    deadline = time.monotonic() + 30
    while len(ranges) < count and time.monotonic() < deadline:
        time.sleep(0.001)


def spans(source, *places):
    return [
        (span.shard, span.start, span.stop)
        for place in places
        for span in source.order.window_spans(*place)
    ]


def test_a_window_and_the_next_are_read_then_one_more_at_a_time(small_dataset, asked):
    source = open_source(small_dataset, "train", 10, window=30)
    source.batch(0, 0)
    expected = spans(source, (0, 0), (0, 1))
    settle(asked, len(expected))
    source.batch(0, 2)  # in the same window
    source.batch(0, 3)
    expected += spans(source, (0, 2))
    settle(asked, len(expected))
    source.batch(0, 6)  # the last window: the next one is in the next epoch
    expected += spans(source, (1, 0))
    settle(asked, len(expected))
    assert asked == expected


def test_a_split_that_is_one_window_is_read_once_an_epoch(small_dataset, asked):
    source = open_source(small_dataset, "train", 10)
    for epoch in (0, 0, 1, 1):
        for step in range(source.num_steps):
            source.batch(epoch, step)
    expected = spans(source, (0, 0), (1, 0))
    settle(asked, len(expected))
    assert asked == expected


def test_entering_in_the_middle_reads_what_is_needed_there(small_dataset, asked):
    source = open_source(small_dataset, "train", 10, window=30)
    source.batch(7, 4)
    expected = spans(source, (7, 1), (7, 2))
    settle(asked, len(expected))
    assert asked == expected


def test_both_datasets_of_a_mixture_are_read(small_dataset, tmp_path, asked):
    twin = shutil.copytree(small_dataset, tmp_path / "twin")
    source = open_source([small_dataset, twin], "train", 10, weights=(1, 1), window=45)
    source.batch(0, 0)
    one = open_source(small_dataset, "train", 10, window=45)
    expected = spans(one, (0, 0), (0, 1)) * 2
    settle(asked, len(expected))
    assert asked == expected


def test_memory_behind_the_window_is_given_back(small_dataset, monkeypatch):
    forgotten = []
    monkeypatch.setattr(
        train.records.read_ahead, "forget", lambda memory: forgotten.append(memory.size)
    )
    source = open_source(small_dataset, "train", 10, window=25)
    for step in range(source.num_steps):
        source.batch(0, step)
    assert sum(forgotten) == 2 * 75 * STRIDE  # all but the last window, when left and when unused
    source.batch(1, 0)
    assert sum(forgotten) == 2 * 90 * STRIDE


def test_a_split_that_is_one_window_stays_mapped(small_dataset, monkeypatch):
    monkeypatch.setattr(
        train.records.read_ahead, "forget", lambda memory: pytest.fail("needed again")
    )
    source = open_source(small_dataset, "train", 10)
    source.batch(0, 0)
    source.batch(1, 0)


def test_what_was_given_back_is_read_again(small_dataset):
    """The same batches with windows that are dropped and come back."""
    windowed = open_source(small_dataset, "train", 10, window=25)
    fresh = open_source(small_dataset, "train", 10, window=25)
    for epoch in range(3):
        for step in range(windowed.num_steps):
            for got, expected in zip(
                windowed.batch(epoch, step), fresh.batch(epoch, step), strict=True
            ):
                assert np.array_equal(got, expected)


def test_encoded_records_are_read_ahead_by_their_index(encoded_datasets, monkeypatch):
    ranges = []
    folder = str(encoded_datasets["png"])

    def note(file, start, stop):
        if file.path.startswith(folder):  # what other tests left is still at work
            ranges.append((file.path, start, stop))

    monkeypatch.setattr(train.records.read_ahead, "_read_ahead", note)
    source = open_source(encoded_datasets["png"], "train", 4)
    source.batch(0, 0)
    settle(ranges, 1)
    sizes = {path: os.path.getsize(path) for path, _, _ in ranges}
    assert all((start, stop) == (0, sizes[path]) for path, start, stop in ranges)


def test_a_shard_that_is_gone_is_told_when_it_is_used(small_dataset, tmp_path):
    """The thread stays; a mapped file can be read although it has no name any more."""
    copy = shutil.copytree(small_dataset, tmp_path / "copy")
    source = open_source(copy, "train", 10, window=30)
    shutil.rmtree(copy)
    assert len(source.batch(0, 0)[0]) == 10


def test_the_thread_ends_with_the_source(small_dataset):
    before = set(threading.enumerate())
    source = open_source(small_dataset, "train", 10)
    source.batch(0, 0)
    (thread,) = [t for t in set(threading.enumerate()) - before if t.name == "read ahead"]
    del source
    gc.collect()
    thread.join(30)
    assert not thread.is_alive()


def test_requests_are_no_longer_than_the_systems_read_ahead(small_dataset, monkeypatch):
    """Linux reads no more of one request than the device's read-ahead, 128 KiB by default."""
    calls = []
    monkeypatch.setattr(os, "posix_fadvise", lambda fd, *args: calls.append(args))
    source = open_source(small_dataset, "train", 10)
    train.records.read_ahead._read_ahead(source.reader.files[0], 1_000, 300_000)
    assert [(start, length) for start, length, _ in calls] == [
        (1_000, 131_072), (132_072, 131_072), (263_144, 36_856)
    ]  # fmt: skip
    assert {advice for *_, advice in calls} == {os.POSIX_FADV_WILLNEED}
    assert isinstance(source.read_ahead, ReadAhead)
