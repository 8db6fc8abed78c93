"""Fetching shards into a cache: who waits for room, who is given up."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from cache_cases import names, put

from convert.dataset.info import Shard
from convert.dataset.read import open_folder
from train.cache.counts import CacheCounts
from train.cache.fetch import Fetcher, Item
from train.cache.fetch_threads import Streams
from train.cache.folder import CacheFolder


def test_giving_up_leaves_alone_who_asked_later():
    """One thread has its shard, but not laid it yet, when another one asks for it once more."""
    may_go = threading.Event()

    def bring(shard: int, needed: bool) -> int:
        may_go.wait()
        return os.open(os.devnull, os.O_RDONLY)

    streams = Streams(bring, 1)
    first = streams.need(3)
    may_go.set()
    file = first.result()
    may_go.clear()
    second = streams.need(3)
    assert second is not first
    assert not streams.give_up(3, first)
    assert streams.give_up(3, second) and not streams.give_up(3, second)
    third = streams.need(3)
    may_go.set()
    for fetched in (file, third.result()):
        descriptor = fetched.take()
        assert descriptor is not None and fetched.take() is None
        os.close(descriptor)
    streams.end(may_go.set)


@pytest.fixture
def item(tmp_path) -> Item:
    content = b"shard" * 20
    (tmp_path / "far").write_bytes(content)
    shard = Shard(
        file="far", records=1, bytes=len(content), sha256=hashlib.sha256(content).hexdigest()
    )
    return Item(folder=open_folder(str(tmp_path)), shard=shard)


def fetcher(folder) -> Fetcher:
    return Fetcher(folder, lambda name: None, CacheCounts())


def test_what_is_not_needed_yet_lets_others_go_first(tmp_path, item):
    folder = CacheFolder(str(tmp_path / "cache"), 300)
    with folder.wanted():
        assert fetcher(folder).bring(item, needed=False) is None
        os.close(fetcher(folder).bring(item, needed=True))
        os.close(fetcher(folder).bring(item, needed=False))  # it is there by now
    assert names(folder) == [item.name]


def test_what_is_needed_waits_for_room(tmp_path, item):
    folder = CacheFolder(str(tmp_path / "cache"), 300)
    held = put(folder, "held", 250)
    with ThreadPoolExecutor(1) as pool:
        brought = pool.submit(fetcher(folder).bring, item, needed=True)
        while not folder.is_wanted():
            time.sleep(0.001)
        assert fetcher(folder).bring(item, needed=False) is None
        assert not brought.done()
        os.close(held)
        os.close(brought.result())
    assert names(folder) == [item.name]
    assert not folder.is_wanted()


def test_an_end_is_no_wait(tmp_path, item):
    folder = CacheFolder(str(tmp_path / "cache"), 300)
    put(folder, "held", 250)
    bringer = fetcher(folder)
    with ThreadPoolExecutor(1) as pool:
        brought = pool.submit(bringer.bring, item, needed=True)
        bringer.closed.set()
        assert brought.result() is None
