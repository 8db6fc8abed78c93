"""Reading through a cache: the same bits, in less room than the dataset takes."""

from __future__ import annotations

import gc
import os
import threading

import numpy as np
import pytest
from cache_cases import SHARD, cached_files, fill, require_same, through, used_bytes

from convert.dataset.read import read_dataset
from train.config import TrainConfig
from train.errors import UsageError
from train.input.numpy_dataset import load_numpy
from train.input.open_source import open_source
from train.records.count_classes import count_classes
from train.training.job import Job, unchangeable


@pytest.mark.parametrize(
    ("window", "shards"),
    [
        (None, 9),  # all are needed at once
        (20, 4),  # up to three are, and one comes ahead
        (7, 3),  # a batch reaches over two windows
        (1, 3),
    ],
)
def test_batches_are_the_same_in_less_room(many_shards, tmp_path, window, shards):
    plain = open_source(many_shards, "train", 8, window=window)
    cached = through(many_shards, tmp_path, shards, window=window)
    for epoch in range(3):
        require_same(plain, cached, [epoch])
        assert used_bytes(tmp_path) <= shards * SHARD


@pytest.mark.parametrize("encoding", ["png", "jpeg"])
def test_encoded_images_are_the_same(encoded_datasets, tmp_path, encoding):
    info = read_dataset(str(encoded_datasets[encoding]))
    room = sum(size for size, _ in info.files().values())
    plain = open_source(encoded_datasets[encoding], "train", 4, window=5)
    cached = open_source(
        encoded_datasets[encoding], "train", 4, window=5, cache=str(tmp_path), cache_bytes=room
    )
    require_same(plain, cached)


def test_threads_share_a_window_and_the_next(many_shards, tmp_path):
    options = {"batch_size": 4, "epochs": 4, "window": 20}
    plain = load_numpy(many_shards, "train", **options)
    cached = load_numpy(many_shards, "train", **options, cache=str(tmp_path), cache_bytes=4 * SHARD)
    for (images, labels), (others, other_labels) in zip(plain, cached, strict=True):
        assert np.array_equal(images, others)
        assert all(np.array_equal(labels[name], other_labels[name]) for name in labels)


@pytest.mark.parametrize(("folders", "fetches"), [(("a", "b"), 18), (("one", "one"), 9)])
def test_ranks_read_through_their_hosts_cache(many_shards, tmp_path, far_disk, folders, fetches):
    """Each through its own, or two of one host through one: then a shard is fetched once."""
    plain = open_source(many_shards, "train", 8, window=20)
    ranks = [
        through(many_shards, tmp_path / folder, 9, window=20, rank=rank, num_ranks=2)
        for rank, folder in enumerate(folders)
    ]
    for epoch in range(2):
        for step in range(plain.num_steps):
            parts = zip(*[rank.batch(epoch, step) for rank in ranks], strict=True)
            for whole, halves in zip(plain.batch(epoch, step), parts, strict=True):
                assert np.array_equal(whole, np.concatenate(halves))
    assert len(far_disk.streamed) == fetches


def test_a_mixture_is_the_same(many_shards, small_dataset, tmp_path):
    options = {"weights": (2, 1), "window": 20}
    plain = open_source([many_shards, small_dataset], "train", 8, **options)
    cached = open_source(
        [many_shards, small_dataset], "train", 8, **options, cache=str(tmp_path),
        cache_bytes=13 * SHARD,
    )  # fmt: skip
    require_same(plain, cached)


def test_whatever_looks_at_records_finds_them(many_shards, tmp_path):
    """All over the split, with room for few shards."""
    plain = open_source(many_shards, "train", 8, window=1)
    cached = through(many_shards, tmp_path, 3, window=1)
    every = np.arange(plain.reader.num_records)[::-7]
    info = read_dataset(str(many_shards))
    assert np.array_equal(cached.reader.rows(every), plain.reader.rows(every))
    assert np.array_equal(cached.reader.labels(every), plain.reader.labels(every))
    for mine, theirs in zip(cached.reader.gather(every), plain.reader.gather(every), strict=True):
        assert np.array_equal(mine, theirs)
    for name, counts in count_classes(plain.reader, info).items():
        assert np.array_equal(count_classes(cached.reader, info)[name], counts)


def test_a_split_in_order_needs_two_shards(many_shards, tmp_path):
    plain = open_source(many_shards, "validation", 7)
    cached = through(many_shards, tmp_path, 2, split="validation", batch_size=7)
    require_same(plain, cached, [0, 0])
    assert len(cached_files(tmp_path)) <= 2


def test_what_was_counted_is_not_fetched_again(many_shards, tmp_path, monkeypatch):
    """Each record's labels are kept since it was first read."""
    source = through(many_shards, tmp_path, 4, window=20, batch_size=9)
    for step in range(source.num_steps):
        source.batch(0, step)
    monkeypatch.setattr(source.reader.far, "holding", lambda shards: pytest.fail("known"))
    count_classes(source.reader, read_dataset(str(many_shards)))


def test_what_fits_is_fetched_once(many_shards, tmp_path, far_disk):
    source = through(many_shards, tmp_path, 9)
    for epoch in range(3):
        for step in range(source.num_steps):
            source.batch(epoch, step)
    assert sorted(far_disk.streamed) == sorted(
        os.path.basename(f.path) for f in source.reader.files
    )
    totals = source.reader.far.totals()
    assert (totals.misses, totals.fetched_bytes, totals.hits) == (9, 9 * SHARD, 0)


def test_the_next_process_finds_it(many_shards, tmp_path, far_disk):
    fill(many_shards, tmp_path)
    far_disk.streamed.clear()
    again = through(many_shards, tmp_path, 9)
    require_same(again, open_source(many_shards, "train", 8))
    assert not far_disk.streamed
    assert again.reader.far.totals().hits == 9


def test_windows_are_fetched_in_the_order_of_the_epoch(many_shards, tmp_path, far_disk):
    """The next one before anybody asks for it."""
    source = through(many_shards, tmp_path, 9, window=20)
    many = threading.Event()
    wanted = [span.shard for window in (0, 1) for span in source.order.window_spans(0, window)]
    names = [os.path.basename(source.reader.files[shard].path) for shard in dict.fromkeys(wanted)]
    far_disk.before = lambda path: len(far_disk.streamed) >= len(names) and many.set()
    source.batch(0, 0)
    assert many.wait(60)
    assert set(far_disk.streamed) == set(names)
    first = {span.shard for span in source.order.window_spans(0, 0)}
    assert {names.index(name) for name in far_disk.streamed[: len(first)]} <= set(
        range(len(first) + 4)  # so many streams
    )


def test_the_cache_keeps_what_is_used_next(many_shards, tmp_path, far_disk):
    """Least recently used would fetch nearly all again."""
    source = through(many_shards, tmp_path, 6, window=10)
    epochs = 12
    for epoch in range(epochs):
        for step in range(source.num_steps):
            source.batch(epoch, step)
    assert len(far_disk.streamed) < 9 * epochs * 0.75


def test_shards_of_two_datasets_are_fetched_in_turns(many_shards, tmp_path, monkeypatch):
    shards, asked = through(many_shards, tmp_path, 9).reader.far, []
    monkeypatch.setattr(shards._streams, "ahead", asked.append)
    for dataset, order in ((0, [1, 0, 2]), (4, [5, 4]), (0, [2, 0, 1])):
        shards.plan(dataset, np.array(order), 2)
    assert asked == [[1, 0], [1, 5, 0, 4], [2, 5, 0, 4]]


def test_the_threads_end_with_the_last_user(many_shards, tmp_path):
    others = set(threading.enumerate())
    source = through(many_shards, tmp_path, 9)
    source.batch(0, 0)
    threads = [each for each in threading.enumerate() if each.name == "fetch"]
    threads = [each for each in threads if each not in others]
    assert threads
    del source
    gc.collect()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()


# Refusals


def test_a_cache_smaller_than_a_window_is_refused(many_shards, tmp_path):
    with pytest.raises(UsageError) as caught:
        through(many_shards, tmp_path, 5, window=40)
    assert str(caught.value) == (
        f"{tmp_path}: 619 kB are too little for {many_shards}: the shards of a window of 40 "
        f"records, with one that is fetched ahead, take up to {6 * SHARD:,} bytes. "
        f"Give --cache-bytes {6 * SHARD} or more, or --window 20 or less."
    )
    through(many_shards, tmp_path, 6, window=40).batch(0, 0)
    through(many_shards, tmp_path, 5, window=20).batch(0, 0)


def test_what_does_not_fit_beside_the_training_is_refused(many_shards, tmp_path):
    training = through(many_shards, tmp_path, 4, window=20)
    with pytest.raises(UsageError) as caught:
        through(many_shards, tmp_path, 4, split="validation")
    assert str(caught.value) == (
        f"{tmp_path}: 495 kB are too little to read through: the shards of a window and of what "
        f"else is open take up to {6 * SHARD:,} bytes at once. Give --cache-bytes {6 * SHARD} or "
        "more, or a smaller --window."
    )
    del training
    through(many_shards, tmp_path, 4, split="validation")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cache_bytes": 10}, "--cache-bytes without --cache"),
        ({"cache": "hdfs://host/x"}, "--cache must be a folder of this machine"),
        ({"cache": "{tmp}/x", "cache_bytes": 0}, "--cache-bytes must be at least 1, got 0"),
        ({"cache": "{tmp}/file/x"}, "cannot be made a cache: Not a directory"),
        ({"cache": "{tmp}"}, "not empty, and no cache of shardfeed: it has no SHARDFEED_CACHE"),
    ],
)
def test_what_cannot_be_a_cache_is_refused(many_shards, tmp_path, options, message):
    (tmp_path / "file").write_text("mine")
    if "cache" in options:
        options = {**options, "cache": options["cache"].format(tmp=tmp_path)}
    with pytest.raises(UsageError, match=message):
        open_source(many_shards, "train", 8, **options)
    assert os.listdir(tmp_path) == ["file"]


def test_a_fork_is_refused(many_shards, tmp_path):
    source = through(many_shards, tmp_path, 9)
    source.batch(0, 0)
    source.reader.far._process += 1
    with pytest.raises(UsageError, match="forked"):
        source.batch(0, 0)


def test_a_resume_may_have_another_cache(many_shards, tmp_path):
    config = TrainConfig(
        dataset=str(many_shards), cache=str(tmp_path), cache_bytes=20 * SHARD, window=20
    )
    job = Job.open(config)
    assert job.options["cache"] == str(tmp_path)
    assert {"cache", "cache_bytes"}.isdisjoint(unchangeable(job.options))
    assert job.options["window"] == 20
