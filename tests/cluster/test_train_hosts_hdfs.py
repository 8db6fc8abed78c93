"""Several processes train from a real HDFS, each host through its cache, into a run on HDFS."""

from __future__ import annotations

import os

import pytest
from cached_training import content
from hdfs_cases import download, upload
from ranks import compiled, train_together
from resume_cases import FLAGS, assert_same, words_of

pytestmark = pytest.mark.long

ROOM = ["--cache-bytes", "10M"]


def test_ranks_with_a_cache_each_then_with_one(hdfs, tiny_dataset, tmp_path):
    """Bit for bit as from local disks without a cache, though it was stopped between."""
    pytest.importorskip("jax", reason="jax is not installed")
    upload(tiny_dataset, f"{hdfs}/strips")
    options = words_of({**FLAGS, "epochs": 2, "window": 40})
    more = {**compiled(tmp_path / "compiled"), "XDG_CACHE_HOME": tmp_path / "home"}
    said, caches = tmp_path / "said", [tmp_path / "cache-0", tmp_path / "cache-1"]
    words = [
        [f"{hdfs}/strips", "--run", f"{hdfs}/run", *options, "--cache", cache, *ROOM]
        for cache in caches
    ]
    ended = train_together(said, 2, words, ("0", "6", "SIGTERM"), **more)
    assert ended.codes == [143, 143], ended.said
    assert all(os.listdir(cache / "shards") for cache in caches)
    words = ["resume", f"{hdfs}/run", "--cache", tmp_path / "shared", *ROOM]
    ended = train_together(said, 2, words, **more)
    assert ended.codes == [0, 0], ended.said
    assert os.listdir(tmp_path / "shared" / "shards")
    words = [tiny_dataset, "--run", tmp_path / "whole", *options]
    whole = train_together(said, 2, words, **more)
    assert whole.codes == [0, 0], whole.said
    assert_same(content(tmp_path / "whole"), content(download(f"{hdfs}/run", tmp_path / "run")))
