"""Many small files: how many must be under way at once?"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from unittest import mock

from hdfs_native import Client

from benchmarks.hdfs_parts.place import Place
from benchmarks.hdfs_parts.rounds import Cost, alternate, fastest, ratio
from convert.images.sources import prefetch as sources
from convert.images.sources.hdfs_reader import HdfsSourceReader

METHOD = """\
small: images of about 5 KB, each opened and read whole, so many at once; fewer images where fewer
  are under way; medians of rounds, of ratios too
  raw: hdfs-native's own `Client`, one for all threads, which ask for nothing but the file
  ours: what a worker of `convert` reads with, which is in fact given READ_THREADS = {threads};
  it reads 16 images one after the other first, to see whether it pays to read ahead"""
IN_FLIGHT = (1, 2, 4, 8, 16, 32, 64)
_IMAGES_EACH = 256  # for each that is under way


def measure(place: Place, root: str, paths: Sequence[str], *, rounds: int) -> None:
    """Prints images/s by the number under way.

    Args:
        place: Has the files.
        root: Their folder there, relative to the place's.
        paths: The files, relative to the root.
        rounds: At least 1.
    """
    client = place.client()
    contestants: dict[str, Callable[[], Cost]] = {}
    for number in IN_FLIGHT:
        some = list(paths[: _IMAGES_EACH * number])
        names = [place.name(f"{root}/{path}") for path in some]
        contestants[f"raw {number}"] = functools.partial(_raw, client, names, number)
        address = f"{place.address}/{root}"
        contestants[f"ours {number}"] = functools.partial(_ours, address, some, number)
    for work in contestants.values():
        work()  # unmeasured: the first to read has to connect
        break
    results = alternate(contestants, rounds)
    best = fastest(*(results[f"ours {number}"] for number in IN_FLIGHT))
    print(f"{'':12}{'raw images/s':>14}{'ours images/s':>15}{'to raw':>8}{'to our best':>13}")
    for number in IN_FLIGHT:
        raw, ours = results[f"raw {number}"], results[f"ours {number}"]
        print(f"{number:>3} at once {median(cost.rate for cost in raw):>14,.0f}", end="")
        print(f"{median(cost.rate for cost in ours):>15,.0f}{ratio(ours, raw):>8.2f}", end="")
        print(f"{ratio(ours, best):>13.2f}")


def _raw(client: Client, names: Sequence[str], number: int) -> Cost:
    def read(name: str) -> int:
        file = client.read(name)
        return len(file.read_range(0, len(file)))

    with ThreadPoolExecutor(number) as pool:
        started = time.perf_counter()
        assert all(pool.map(read, names))
        return Cost(amount=len(names), seconds=time.perf_counter() - started)


def _ours(root: str, paths: list[str], number: int) -> Cost:
    reader = HdfsSourceReader(root)
    with mock.patch.multiple(sources, READ_THREADS=number, _AHEAD_FILES=2 * number):
        started = time.perf_counter()
        contents = list(sources.SourceStream(reader, paths))
        seconds = time.perf_counter() - started
    assert all(isinstance(content, bytes) for content in contents)
    return Cost(amount=len(paths), seconds=seconds)
