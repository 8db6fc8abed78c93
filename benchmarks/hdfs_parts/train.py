"""Epochs of a dataset on HDFS against the same dataset on a local disk."""

from __future__ import annotations

import functools
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.cold import forget
from benchmarks.hdfs_parts.place import Place
from benchmarks.hdfs_parts.rounds import Cost, alternate, fastest, ratio
from benchmarks.readers.images import Task
from benchmarks.readers.shards import make
from train.cache.shards import CachedShards
from train.input.numpy_dataset import NumpyDataset
from train.input.open_source import open_source

METHOD = """\
train: whole epochs as NumPy batches of {batch}, shuffled in a window of a tenth of the records, no
  model; a fresh process for each dataset goes through two epochs; in the first one it opens the
  dataset and compares CRCs; medians of rounds, of ratios too
  local: without a cache; before the first epoch its files are dropped from the page cache
  hdfs: through a cache that is empty before the first epoch and holds all before the second; the
  first one hashes each shard, writes it to the local disk and flushes it
  raw: hdfs-native's own `Client` streams the shards and forgets them, one or four at once; the
  others are compared with the faster of both, which has no such work to do
  waited: seconds in which no batch could be made for want of a shard
  where NameNode and DataNode run here they share cores, page cache and disk with the reader"""
BATCH_SIZE = 128
_SHARD_BYTES = 64 << 20
_WINDOW_PART = 10
_FOLDER = "dataset"
_STREAMS = (1, 4)  # the cache fetches four shards at once


@dataclass(frozen=True, kw_only=True, slots=True)
class Epoch:
    """One epoch.

    Attributes:
        images: Images delivered.
        seconds: Wall time.
        waited_seconds: Time in which no batch could be made for want of a shard.
    """

    images: int
    seconds: float
    waited_seconds: float


def measure(place: Place, *, records: int, rounds: int) -> None:
    """Prints rates of epochs, and of the raw client."""
    records = -(-records // BATCH_SIZE) * BATCH_SIZE
    folder = place.folder / _FOLDER
    folder.mkdir()
    make(Task(folder=folder, num_records=records, batch_size=BATCH_SIZE), _SHARD_BYTES)
    place.upload(folder)
    os.sync()  # what is left to write must not slow down the first to read
    contestants: dict[str, Callable[[], list[Epoch]]] = {
        "local": functools.partial(_local, folder, records),
        "hdfs": functools.partial(_far, place, records),
    }
    for streams in _STREAMS:
        contestants[f"raw, {streams} at once"] = functools.partial(
            _raw, place, [path.name for path in folder.iterdir()], records, streams
        )
    _show(alternate(contestants, rounds), sum(path.stat().st_size for path in folder.iterdir()))


def _show(results: dict[str, list[list[Epoch]]], size: int) -> None:
    """Prints medians over rounds.

    Args:
        results: Of each contestant and round, its epochs.
        size: Bytes of the dataset.
    """
    epochs = {
        f"{name}{number}": [epochs[index] for epochs in rounds]
        for name, rounds in results.items()
        for index, number in enumerate((", epoch 1", ", epoch 2") if len(rounds[0]) > 1 else ("",))
    }
    costs = {
        name: [Cost(amount=size, seconds=epoch.seconds) for epoch in rounds]
        for name, rounds in epochs.items()
    }
    raw = fastest(*(costs[f"raw, {streams} at once"] for streams in _STREAMS))
    cold = costs["local, epoch 1"]
    print(f"{'':18}{'images/s':>10}{'MB/s':>8}{'waited s':>10}{'to raw':>8}{'to local':>10}")
    for name, rounds in epochs.items():
        rate = median(epoch.images / epoch.seconds for epoch in rounds)
        waited = median(epoch.waited_seconds for epoch in rounds)
        print(f"{name:18}{rate:>10,.0f}", end="")
        print(f"{median(cost.rate for cost in costs[name]) / 1e6:>8,.0f}{waited:>10.1f}", end="")
        print(f"{ratio(costs[name], raw):>8.2f}{ratio(costs[name], cold):>10.2f}")


def _local(folder: Path, records: int) -> list[Epoch]:
    forget(list(folder.iterdir()))
    return _in_new_process(str(folder), None, records)


def _far(place: Place, records: int) -> list[Epoch]:
    with tempfile.TemporaryDirectory(dir=place.folder) as cache:
        return _in_new_process(f"{place.address}/{_FOLDER}", cache, records)


def _in_new_process(dataset: str, cache: str | None, records: int) -> list[Epoch]:
    # What a process has mapped cannot be dropped from the page cache.
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(two_epochs, (dataset, cache, records))


def two_epochs(dataset: str, cache: str | None, records: int) -> list[Epoch]:
    """Goes through a dataset twice.

    Args:
        dataset: Its folder.
        cache: A folder to read through.
        records: Those of the dataset.
    """
    epochs: list[Epoch] = []
    started, waited = time.perf_counter(), 0.0
    window = max(1, records // _WINDOW_PART)
    source = open_source(dataset, "train", BATCH_SIZE, window=window, cache=cache)
    batches = NumpyDataset(source)
    far = source.reader.far
    for _ in range(2):
        images = sum(len(images) for images, _ in batches)
        assert images == records
        now = far.totals().waited_seconds if isinstance(far, CachedShards) else 0.0
        seconds = time.perf_counter() - started
        epochs.append(Epoch(images=images, seconds=seconds, waited_seconds=now - waited))
        started, waited = time.perf_counter(), now
    return epochs


def _raw(place: Place, names: Sequence[str], records: int, streams: int) -> list[Epoch]:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return [pool.apply(raw_epoch, (place, names, records, streams))]


def raw_epoch(place: Place, names: Sequence[str], records: int, streams: int) -> Epoch:
    """Reads all files by the raw client; so long an epoch would take that costs nothing else.

    Args:
        place: Has the files.
        names: Their names in the dataset's folder.
        records: Those of the dataset.
        streams: So many files at once.
    """
    client = place.client()

    def read(name: str) -> None:
        file = client.read(place.name(f"{_FOLDER}/{name}"))
        assert sum(map(len, file.read_range_stream(0, len(file)))) == len(file)

    started = time.perf_counter()
    with ThreadPoolExecutor(streams) as pool:
        list(pool.map(read, names))
    return Epoch(images=records, seconds=time.perf_counter() - started, waited_seconds=0.0)
