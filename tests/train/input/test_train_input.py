"""Delivery through tf.data: the public `load_dataset`."""

from __future__ import annotations

import numpy as np
import pytest

from train import load_dataset
from train.errors import RecordError, UsageError
from train.input.clock import InputClock
from train.input.open_source import open_source
from train.input.tf_dataset import as_tf_dataset, reader_failure
from train.records.augment import augment
from train.records.draws import Draws
from train.records.order import RecordOrder


def batches(dataset):
    """Returns [(images, labels [batch, outputs])] of one iteration."""
    return [
        (images.numpy(), np.stack([column.numpy() for column in labels.values()], axis=1))
        for images, labels in dataset
    ]


def expected(path, split, batch_size, seed, epoch):
    """The same from order and reader alone."""
    reader = open_source(path, split, 1).reader
    order = RecordOrder(reader.shard_records, seed=seed, window=reader.num_records)
    starts = range(0, reader.num_records - batch_size + 1, batch_size)
    return [reader.gather(order.records(epoch, s, s + batch_size)) for s in starts]


def equal(first, second):
    return len(first) == len(second) and all(
        np.array_equal(a, b)
        for x, y in zip(first, second, strict=True)
        for a, b in zip(x, y, strict=True)
    )


def test_elements_have_known_shapes_and_types(small_dataset):
    images, labels = load_dataset(str(small_dataset), "train", 16).element_spec
    assert (images.shape, images.dtype) == ((16, 32, 128, 3), "uint8")
    assert list(labels) == ["y0", "y1", "y2", "y3"]
    assert {(tuple(y.shape), y.dtype.name) for y in labels.values()} == {((16,), "int32")}


def test_each_iteration_is_the_next_epoch(small_dataset):
    dataset = load_dataset(str(small_dataset), "train", 16, seed=3, epoch=5)
    for epoch in (5, 6, 7):
        assert equal(batches(dataset), expected(small_dataset, "train", 16, 3, epoch))


def test_several_epochs_in_one_iteration(small_dataset):
    dataset = load_dataset(str(small_dataset), "train", 16, epochs=2)
    both = expected(small_dataset, "train", 16, 0, 0) + expected(small_dataset, "train", 16, 0, 1)
    assert dataset.cardinality() == 10
    assert equal(batches(dataset), both)


@pytest.mark.parametrize(
    ("split", "options", "sizes"),
    [
        ("train", {}, [40, 40]),  # 90 records: training drops the remainder
        ("train", {"drop_remainder": False}, [40, 40, 10]),
        ("train", {"shuffle": False}, [40, 40, 10]),
        ("validation", {}, [30]),  # everything else never does
        ("validation", {"batch_size": 30, "drop_remainder": True}, [30]),
    ],
)
def test_remainders(small_dataset, split, options, sizes):
    arguments = {"batch_size": 40} | options
    dataset = load_dataset(str(small_dataset), split, **arguments)
    assert [len(images) for images, _ in batches(dataset)] == sizes


def test_unshuffled_records_stay_as_they_lie(small_dataset):
    reader = open_source(small_dataset, "validation", 1).reader
    (batch,) = batches(load_dataset(str(small_dataset), "validation", 64))
    assert equal([batch], [reader.gather(np.arange(30))])


@pytest.mark.parametrize("option", [{"seed": 1}, {"window": 20}, {"epoch": 1}, {"augment": True}])
def test_each_option_changes_the_batches(small_dataset, option):
    plain = batches(load_dataset(str(small_dataset), "train", 16))
    changed = batches(load_dataset(str(small_dataset), "train", 16, **option))
    assert not equal(plain, changed)


def test_augmentation_is_that_of_the_step(small_dataset):
    dataset = load_dataset(str(small_dataset), "train", 16, seed=2, epoch=4, augment=True)
    for step, (plain, got) in enumerate(
        zip(expected(small_dataset, "train", 16, 2, 4), batches(dataset), strict=True)
    ):
        assert np.array_equal(
            got[0], augment(plain[0], Draws(seed=2, epoch=4, step=step, first=0, count=16))
        )


def test_more_than_a_split_has(small_dataset):
    with pytest.raises(UsageError) as raised:
        load_dataset(str(small_dataset), "train", 91)
    assert str(raised.value) == (
        f"{small_dataset}: the split 'train' has 90 records, fewer than one batch; "
        "--batch-size must be at most 90, got 91."
    )


def test_the_clock_counts_the_time_between_asking_and_getting(small_dataset, monkeypatch):
    """The consumer's own time does not count."""
    ticks = iter(range(1_000))
    monkeypatch.setattr("train.input.clock.time.perf_counter", lambda: float(next(ticks)))
    clock = InputClock()
    source = open_source(str(small_dataset), "train", 16, 0)
    assert len(batches(as_tf_dataset(source, clock=clock))) == 5
    assert clock.waited_seconds in (5.0, 6.0)  # each wait takes one tick; the last finds the end


def test_the_readers_error_comes_through_tensorflow(small_dataset):
    source = open_source(str(small_dataset), "train", 16, 0)
    source.reader._read = lambda records: (_ for _ in ()).throw(RecordError("record 5 is bad."))
    with pytest.raises(RecordError, match=r"^record 5 is bad\.$"), reader_failure(source.reader):
        batches(as_tf_dataset(source))


@pytest.mark.parametrize("augment", [False, True])
def test_batches_made_in_groups_are_those_of_their_steps(small_dataset, augment):
    """23 steps of 4, the last one short: groups of 8, 8, 6 and 1."""
    source = open_source(
        str(small_dataset), "train", 4, seed=1, drop_remainder=False, augment=augment
    )
    assert (source.num_steps, source.num_groups()) == (23, 4)
    assert [source.group(number) for number in range(4)] == [(0, 8), (8, 8), (16, 6), (22, 1)]
    expected = [source.batch(3, step) for step in range(source.num_steps)]
    got = batches(as_tf_dataset(source, epoch=3))
    assert equal(got, [(images, np.stack(labels, axis=1)) for images, *labels in expected])
