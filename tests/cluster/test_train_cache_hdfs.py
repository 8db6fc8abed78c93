"""Training from a real HDFS through a cache, with daemons that are killed meanwhile."""

from __future__ import annotations

import os
import threading

import pytest
from cache_cases import SHARD, require_same, used_bytes
from cached_training import (  # noqa: F401
    OPTIONS,
    ROOM,
    content,
    plain,
    shared_model,
)
from hdfs_cases import upload
from resume_cases import assert_same
from train_cases import learn

from convert.dataset.hdfs_folder import RemoteFolder
from convert.storage.places import filesystem_of
from train.errors import TryAgainError, UsageError
from train.input.open_source import open_source


@pytest.fixture
def far(hdfs, many_shards) -> str:
    """The dataset on HDFS."""
    upload(many_shards, f"{hdfs}/strips")
    return f"{hdfs}/strips"


@pytest.fixture
def at_fetch(monkeypatch):
    """Returns a function that makes something happen when the n-th shard is being fetched."""
    number, act, streamed = 0, None, []

    stream = RemoteFolder.stream

    def watched(folder, name, *part):
        streamed.append(folder.file(name))
        if len(streamed) == number:
            act()
        return stream(folder, name, *part)

    monkeypatch.setattr(RemoteFolder, "stream", watched)

    def at(when, what):
        nonlocal number, act
        number, act = when, what
        return streamed

    return at


def test_the_run_is_the_same_though_the_datanode_dies(
    far,
    hadoop,
    plain,  # noqa: F811
    at_fetch,
    tmp_path,
):
    over = threading.Event()

    def restart():
        hadoop.start_datanode()
        over.wait()  # the daemon dies with the thread that started it

    restarter = threading.Thread(target=restart)

    def die():
        hadoop.kill_datanode()
        restarter.start()

    streamed = at_fetch(15, die)  # in the second epoch
    learn(far, tmp_path / "run", **OPTIONS, cache=str(tmp_path / "cache"), cache_bytes=ROOM)
    hadoop.kill_datanode()
    over.set()
    restarter.join()
    assert len(streamed) > 15
    assert used_bytes(tmp_path / "cache") <= ROOM
    assert_same(content(tmp_path / "run"), plain)


def test_what_fits_is_read_once(far, hadoop, many_shards, tmp_path):
    """The second epoch, without HDFS; and another reader that finds all in the cache."""
    local = open_source(many_shards, "train", 8)
    source = open_source(far, "train", 8, cache=str(tmp_path), cache_bytes=9 * SHARD)
    require_same(source, local, [0])
    other = open_source(far, "train", 8, cache=str(tmp_path), cache_bytes=9 * SHARD)
    hadoop.stop()
    require_same(source, local, [1, 2])
    require_same(other, local, [3])


def test_hdfs_that_stays_away_is_told(far, hadoop, many_shards, tmp_path, monkeypatch):
    source = open_source(far, "train", 8, cache=str(tmp_path), cache_bytes=4 * SHARD, window=20)
    source.batch(0, 0)
    monkeypatch.setattr(filesystem_of(far)._client, "_seconds", 0.5)
    hadoop.stop()
    with pytest.raises(TryAgainError, match="Once it works again, run the same command again"):
        for step in range(source.num_steps):
            source.batch(0, step)
    hadoop.start()
    require_same(source, open_source(many_shards, "train", 8, window=20), [0])


def test_encoded_shards_come_with_their_indexes(hdfs, encoded_datasets, tmp_path):
    upload(encoded_datasets["png"], f"{hdfs}/png")
    source = open_source(f"{hdfs}/png", "train", 4, cache=str(tmp_path), cache_bytes=10**7)
    require_same(source, open_source(encoded_datasets["png"], "train", 4), [0, 1])


def test_the_default_cache_is_the_users(far, many_shards, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    source = open_source(far, "train", 8)
    require_same(source, open_source(many_shards, "train", 8), [0])
    assert len(os.listdir(tmp_path / "shardfeed" / "shards")) == 9
    with pytest.raises(UsageError, match="are too little for"):
        open_source(far, "train", 8, cache_bytes=8 * SHARD)
