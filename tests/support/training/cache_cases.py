"""What tests of the cache share: a dataset of many small shards, on a disk that counts."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import numpy as np
import pytest
from convert_cases import convert_strips

from convert.dataset.local_folder import LocalFolder
from train.input.open_source import open_source

STRIDE = 12_379
SHARD = 10 * STRIDE


@pytest.fixture(scope="session")
def many_shards(tmp_path_factory, small_manifest) -> Path:
    """90 records to train on in nine shards, 30 to validate on in three."""
    path = tmp_path_factory.mktemp("many") / "strips"
    convert_strips(small_manifest, path, shard_bytes=SHARD)
    return path


class FarDisk:
    """A disk that is far away.

    Attributes:
        streamed: Names of the files that were streamed.
        before: Called with a file's path before it is streamed.
        change: Returns what comes instead of a piece.
    """

    def __init__(self) -> None:
        self.streamed = []
        self.before = lambda path: None
        self.change = lambda path, piece: piece

    def stream(self, path, pieces):
        self.streamed.append(os.path.basename(path))
        self.before(path)
        for piece in pieces:
            yield self.change(path, piece)


@pytest.fixture
def far_disk(monkeypatch) -> FarDisk:
    """Where the cache fetches from."""
    disk = FarDisk()
    stream = LocalFolder.stream

    def watched(folder, name, *part):
        return disk.stream(folder.file(name), stream(folder, name, *part))

    monkeypatch.setattr(LocalFolder, "stream", watched)
    return disk


def require_same(source, other, epochs=(0, 1, 2)) -> None:
    """Asserts that two sources make the same batches, bit by bit."""
    assert source.num_steps == other.num_steps
    for epoch in epochs:
        for step in range(source.num_steps):
            arrays = zip(source.batch(epoch, step), other.batch(epoch, step), strict=True)
            assert all(np.array_equal(mine, theirs) for mine, theirs in arrays)


def cached_files(folder) -> dict[str, Path]:
    """Returns the files that a cache keeps, by their names."""
    return {path.name: path for path in Path(folder, "shards").iterdir()}


def used_bytes(folder) -> int:
    """Returns the bytes that a cache takes; no file is begun or renamed meanwhile."""
    with Path(folder, "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return sum(path.stat().st_size for path in Path(folder, "shards").iterdir())


def through(dataset, folder, shards, split="train", batch_size=8, **options):
    """Opens a split through a cache that has room for some shards."""
    return open_source(
        dataset, split, batch_size, cache=str(folder), cache_bytes=shards * SHARD, **options
    )


def fill(dataset, folder):
    """Fetches all shards, by a reader that is gone afterwards."""
    source = through(dataset, folder, 9)
    for step in range(source.num_steps):
        source.batch(0, step)


def everything(files, members):
    """Lets all files be removed, the longest unused first."""
    return sorted(files, key=lambda each: each.used)


def put(folder, name, size=100, choice=everything):
    """Fetches a file; returns its descriptor, or None."""
    part = folder.reserve(name, size, choice)
    if part is None:
        return None
    part.write(bytes(size))
    part.sync()
    return folder.publish(part)


def names(folder):
    """Returns the names of the files that a folder keeps."""
    return sorted(each.name for each in folder.files())
