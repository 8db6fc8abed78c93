"""Processes that share a cache: never a wrong byte, never too many, whoever is killed."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from cache_cases import SHARD, used_bytes
from convert_cases import PATIENCE, convert, draw_sources
from mount_cases import NAMESPACE, can_mount

from convert.dataset.read import read_dataset
from train.input.open_source import open_source

SCRIPT = Path(__file__).parents[2] / "support" / "training" / "cached_reading.py"


@pytest.fixture(scope="module")
def tiny_shards(tmp_path_factory) -> Path:
    """218 records to train on, in 73 shards."""
    folder = tmp_path_factory.mktemp("shards")
    manifest = draw_sources(folder, 240)
    convert(manifest, folder / "out", size=(12, 8), shard_bytes=3 * 369)
    return folder / "out"


def start(dataset, cache, budget, seed, fetches, *die) -> subprocess.Popen:
    words = [str(word) for word in (dataset, cache, budget, seed, fetches, *die)]
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(process) -> dict:
    out, err = process.communicate(timeout=10 * PATIENCE)
    assert process.returncode == 0, err
    return json.loads(out)


def test_four_processes_share_a_cache_under_pressure(tiny_shards, tmp_path):
    """A thousand fetches, a fifth process is killed in the middle of one."""
    shards = read_dataset(str(tiny_shards)).splits["train"]
    # Just what five need at once: six shards inside a window, one at each end, and one ahead.
    budget = 5 * 9 * max(shard.bytes for shard in shards)
    assert budget < 0.65 * sum(shard.bytes for shard in shards)
    victim = start(tiny_shards, tmp_path, budget, 9, 10_000, 40)
    others = [start(tiny_shards, tmp_path, budget, seed, 250) for seed in range(4)]
    victim.communicate(timeout=10 * PATIENCE)
    assert victim.returncode == -9
    most = 0
    while any(process.poll() is None for process in others):
        most = max(most, used_bytes(tmp_path))
        try:
            others[0].wait(0.05)
        except subprocess.TimeoutExpired:
            continue
        others.append(others.pop(0))
    results = [end(process) for process in others]
    assert sum(result["fetches"] for result in results) >= 1000
    assert not any(result["wrong"] for result in results)
    assert 0 < most <= budget
    # What the dead left is gone with the next fetch; nothing else is left of anybody.
    source = open_source(
        tiny_shards, "train", 3, window=20, cache=str(tmp_path), cache_bytes=budget
    )
    for step in range(source.num_steps):
        source.batch(0, step)
    assert len(os.listdir(tmp_path / "readers")) == 1
    del source
    assert not any(path.suffix == ".part" for path in (tmp_path / "shards").iterdir())
    assert used_bytes(tmp_path) <= budget


def test_a_full_disk_is_told_in_one_line(many_shards, tmp_path):
    """Though the cache might take more: something else is on that disk."""
    if not can_mount():
        pytest.skip("this process may not mount a file system")
    (tmp_path / "disk").mkdir()
    words = [sys.executable, str(SCRIPT), str(many_shards), "disk", str(10 * SHARD), "0", "9"]
    script = f"mount -t tmpfs -o size=600k tmpfs disk || exit 99; {shlex.join(words)}"
    done = subprocess.run(
        [*NAMESPACE, "sh", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stderr
    assert done.stderr.splitlines()[-1] == (
        f"convert.errors.TryAgainError: {tmp_path}/disk: cannot keep a shard of 124 kB: No space "
        "left on device. Free space, give less with --cache-bytes, or name another disk with "
        "--cache; then run the same command again."
    )
