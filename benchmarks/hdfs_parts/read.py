"""One large file: the raw client, ours, and what training does with it."""

from __future__ import annotations

import functools
import hashlib
import multiprocessing
import os
import tempfile
import time
from collections.abc import Iterable
from statistics import median

from benchmarks.hdfs_parts.place import Place
from benchmarks.hdfs_parts.rounds import Cost, alternate, fastest, ratio
from convert.dataset.info import Shard
from convert.dataset.read import open_folder
from convert.storage.interface import PIECE_BYTES
from convert.storage.places import filesystem_of, sha256_file
from train.cache.counts import CacheCounts
from train.cache.fetch import Fetcher, Item
from train.cache.folder import CacheFolder

METHOD = """\
read: one file, from its first byte to its last, a fresh process each, in turn; medians of rounds,
  of ratios too
  raw: hdfs-native's own `Client`, in one thread; the others are compared with the faster of both
  into the cache: as training fetches a shard: hashed, written to the local disk, flushed
  by hand: the same with the raw client and no threads
  CPU: of the process that reads; daemons: NameNode and DataNode, which share the cores with it
  where they run here: on a cluster they do not, and ours, which works while the next piece comes,
  keeps more of the raw rate"""
_NAME = "file"
_RAW = ("raw, ranges of 4 MiB", "raw, read_range_stream")


def measure(place: Place, *, megabytes: int, rounds: int) -> None:
    """Prints rates and what they cost."""
    shard = _make(place, megabytes << 20)
    works = {name: functools.partial(_in_new_process, name, place, shard) for name in _WORKS}
    results = alternate(works, rounds)
    print(f"{'':26}{'MB/s':>8}{'CPU s/GB':>10}{'daemons':>9}{'to raw':>8}")
    raw = fastest(*(results[name] for name in _RAW))
    for name, costs in results.items():
        print(f"{name:26}{median(cost.rate for cost in costs) / 1e6:>8,.0f}", end="")
        print(f"{median(cost.cpu_seconds / cost.amount for cost in costs) * 1e9:>10.2f}", end="")
        print(f"{median(cost.daemon_seconds / cost.amount for cost in costs) * 1e9:>9.2f}", end="")
        print(f"{ratio(costs, raw):>8.2f}")


def _make(place: Place, size: int) -> Shard:
    """Writes the file to both places."""
    digest = hashlib.sha256()
    with (
        open(place.folder / _NAME, "wb") as near,
        filesystem_of(place.address).create(_address(place)) as far,
    ):
        for start in range(0, size, PIECE_BYTES):
            piece = os.urandom(min(PIECE_BYTES, size - start))
            digest.update(piece)
            near.write(piece)
            far.write(piece)
    os.sync()  # what is left to write must not slow down the first to read
    return Shard(file=_NAME, records=1, bytes=size, sha256=digest.hexdigest())


def _in_new_process(name: str, place: Place, shard: Shard) -> Cost:
    # Ours tells the C library to keep memory; the raw client shall not profit from that.
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(timed, (name, place, shard))


def timed(name: str, place: Place, shard: Shard) -> Cost:
    """Lets a contestant read the file.

    Args:
        name: One of those that are measured.
        place: Has the file.
        shard: What it is.
    """
    with tempfile.TemporaryDirectory(dir=place.folder) as folder:  # to remove it is no part
        daemons, cpu, started = place.daemon_seconds(), time.process_time(), time.perf_counter()
        num_bytes = _WORKS[name](place, shard, folder)
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
        daemons = place.daemon_seconds() - daemons
    assert num_bytes == shard.bytes
    return Cost(amount=num_bytes, seconds=seconds, cpu_seconds=cpu, daemon_seconds=daemons)


def _address(place: Place) -> str:
    return f"{place.address}/{_NAME}"


def _ranges(place: Place, shard: Shard) -> Iterable[bytes]:
    file = place.client().read(place.name(_NAME))
    for start in range(0, shard.bytes, PIECE_BYTES):
        yield file.read_range(start, min(PIECE_BYTES, shard.bytes - start))


def _raw_ranges(place: Place, shard: Shard, _: str) -> int:
    return sum(map(len, _ranges(place, shard)))


def _raw_stream(place: Place, shard: Shard, _: str) -> int:
    file = place.client().read(place.name(_NAME))
    return sum(map(len, file.read_range_stream(0, shard.bytes)))


def _ours(place: Place, shard: Shard, _: str) -> int:
    return sum(map(len, filesystem_of(place.address).stream(_address(place))))


def _local(place: Place, shard: Shard, _: str) -> int:
    path = str(place.folder / _NAME)
    return sum(map(len, filesystem_of(path).stream(path)))


def _hashed(place: Place, shard: Shard, _: str) -> int:
    assert sha256_file(_address(place)) == shard.sha256
    return shard.bytes


def _cached(place: Place, shard: Shard, folder: str) -> int:
    fetcher = Fetcher(CacheFolder(folder, shard.bytes), lambda _: None, CacheCounts())
    descriptor = fetcher.bring(Item(folder=open_folder(place.address), shard=shard), needed=True)
    assert descriptor is not None
    os.close(descriptor)
    return shard.bytes


def _by_hand(place: Place, shard: Shard, folder: str) -> int:
    digest = hashlib.sha256()
    with open(f"{folder}/{_NAME}", "wb") as file:
        for piece in _ranges(place, shard):
            file.write(piece)
            digest.update(piece)
        file.flush()
        os.fsync(file.fileno())
    assert digest.hexdigest() == shard.sha256
    return shard.bytes


_WORKS = {
    _RAW[0]: _raw_ranges,
    _RAW[1]: _raw_stream,
    "ours, streamed": _ours,
    "ours, hashed": _hashed,
    "ours, into the cache": _cached,
    "by hand, kept and hashed": _by_hand,
    "local, in the page cache": _local,
}
