"""Training through a cache: the same run, bit for bit, and what it tells."""

from __future__ import annotations

import json
import os

import pytest
from cache_cases import SHARD, used_bytes
from cached_training import OPTIONS, ROOM, content, plain, shared_model  # noqa: F401
from event_cases import read_points
from resume_cases import assert_same
from train_cases import learn

from convert.dataset.read import open_dataset
from train.bench.cold import read_cold
from train.bench.config import BenchConfig
from train.cli.fit import _as_json, _summary
from train.config import TrainConfig
from train.errors import TryAgainError
from train.evaluation.evaluate_run import evaluate_run
from train.runs.folder import RunFolder
from train.training.resuming.resume import resume_training
from train.training.start import train_model


@pytest.fixture(scope="module")
def cached(many_shards, tmp_path_factory):
    """A run through a cache, what it said, and what came of it."""
    path, lines = tmp_path_factory.mktemp("cached"), []
    config = TrainConfig(
        dataset=str(many_shards),
        run=str(path / "run"),
        cache=str(path / "cache"),
        cache_bytes=ROOM,
        **OPTIONS,
    )
    return path, lines, train_model(config, lines.append)


def test_the_run_is_the_same_bit_by_bit(plain, cached):  # noqa: F811
    path, _, _ = cached
    assert_same(content(path / "run"), plain)
    assert used_bytes(path / "cache") <= ROOM < 12 * SHARD


def test_each_epoch_says_what_the_cache_did(cached):
    path, lines, result = cached
    assert (
        f"reads through {path / 'cache'}, which may take 743 kB; uses up to 495 kB at once" in lines
    )
    told = [line for line in lines if line.startswith("cache: ")]
    assert len(told) == 3
    assert all(" shards were there, " in line and ", waited " in line for line in told)
    curves = {tag: step for tag, step, _ in read_points(path / "run") if tag.startswith("cache/")}
    assert curves == dict.fromkeys(
        ["cache/hits", "cache/misses", "cache/fetched_bytes_per_second", "cache/waited_seconds"], 30
    )
    summary = _as_json(result)["cache"]
    assert summary["misses"] >= 12
    assert summary["fetched_bytes"] == summary["misses"] * SHARD
    assert json.dumps(summary)
    assert f"cache: {result.cache}" in _summary(result)


def test_a_failing_disk_ends_it_and_a_resume_with_another_cache_goes_on(
    plain,  # noqa: F811
    many_shards,
    tmp_path,
    far_disk,
):
    def fail(path):
        if len(far_disk.streamed) > 14:
            raise OSError(5, "Input/output error", path)

    far_disk.before = fail
    with pytest.raises(TryAgainError) as caught:
        learn(many_shards, tmp_path / "run", **OPTIONS, cache=str(tmp_path / "a"), cache_bytes=ROOM)
    assert str(caught.value).endswith(
        ": cannot be read: Input/output error. Run the same command again. The run stands at its "
        f"last checkpoint: go on with `train resume {tmp_path / 'run'}`."
    )
    far_disk.before = lambda path: None
    resume_training(str(tmp_path / "run"), {"cache": str(tmp_path / "b"), "cache_bytes": 2 * ROOM})
    assert_same(content(tmp_path / "run"), plain)
    assert RunFolder.open(str(tmp_path / "run")).config()["cache"] == str(tmp_path / "b")


def test_an_evaluation_reads_through_the_cache_of_its_run(cached, far_disk):
    path, _, _ = cached
    run = RunFolder.open(str(path / "run"))
    result = evaluate_run(run, cache_bytes=ROOM)
    assert len(result.evaluation.labels) == 30
    before = len(far_disk.streamed)
    evaluate_run(run, cache=str(path / "other"), cache_bytes=ROOM)
    assert len(far_disk.streamed) == before + 3
    assert len(os.listdir(path / "other" / "shards")) == 3


def test_a_benchmark_reads_through_a_cache(many_shards, tmp_path):
    config = BenchConfig(
        dataset=str(many_shards), cache=str(tmp_path), cache_bytes=ROOM, window=20, seconds=0.1
    )
    assert read_cold(config, open_dataset(config.dataset)).speed.images > 0
    assert 4 * SHARD <= used_bytes(tmp_path) <= ROOM
