"""The whole command `convert`, from and to HDFS, and on Spark."""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import median

from benchmarks.competitors import RECORD_BYTES, Source
from benchmarks.converters.strips import BOX, PIECES, SIZE
from benchmarks.hdfs_parts.place import ROOT, Place
from benchmarks.hdfs_parts.rounds import Cost, alternate, ratio
from benchmarks.process import CommandError, run
from convert.storage import filesystem_of

MASTER = "local-cluster[2,1,1024]"
METHOD = f"""\
convert: the whole command in a fresh process, 2 workers, 8 shards; in turn; medians of rounds, of
  ratios too; page cache warm; every dataset has the same id, else it is an error
  whole: from start to exit, measured from outside
  work: the seconds that the command itself tells; start-up: the rest of the whole, which on Spark
  is that of the driver and of the executors' JVMs, not of their Python
  CPU: of all its processes; Spark's executors are not counted, nor are the daemons of HDFS, which
  share the cores with the rest where they run here
  Spark: {MASTER}, with Spark's own settings, against the local engine, both from HDFS to HDFS"""
_SPARK, _BASE, _FAR = "spark, hdfs to hdfs", "local to local", "hdfs to hdfs"
_MASTER_FLAGS = ("--engine", "spark", "--master", MASTER)
_LOCAL_FLAGS = ("--workers", "2")


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What a command took.

    Attributes:
        whole: From start to exit.
        work: By its own clock.
        dataset_id: Of what it made.
    """

    whole: Cost
    work: Cost
    dataset_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Way:
    """From where to where, and how.

    Attributes:
        manifest: Folder of the manifests.
        output: The dataset.
        flags: Engine and workers.
    """

    manifest: str
    output: str
    flags: tuple[str, ...]


def measure(place: Place, source: Source, warm_up: Source, *, rounds: int) -> None:
    """Prints rows/s of every way.

    Args:
        place: Has the sources too, in a folder of the same name as that of the local ones.
        source: The rows, in local files.
        warm_up: Some of them, converted once unmeasured.
        rounds: At least 1.
    """
    near, far = str(source.manifest.parent), f"{place.address}/{source.manifest.parent.name}"
    near_output, far_output = str(place.folder / "output"), f"{place.address}/output"
    ways = {
        _BASE: Way(manifest=near, output=near_output, flags=_LOCAL_FLAGS),
        "hdfs to local": Way(manifest=far, output=near_output, flags=_LOCAL_FLAGS),
        _FAR: Way(manifest=far, output=far_output, flags=_LOCAL_FLAGS),
    }
    environment = dict(os.environ)
    if find_spec("pyspark") is None:
        print(f"{_SPARK}: left out: no pyspark")
    else:
        ways[_SPARK] = Way(manifest=far, output=far_output, flags=_MASTER_FLAGS)
        environment |= _spark_environment(place.folder / "spark")
    contestants: dict[str, Callable[[], Result]] = {}
    for name, way in ways.items():
        try:
            _convert(way, warm_up, place, environment)
        except CommandError as error:
            print(f"{name}: left out, it failed: {error}", flush=True)
            continue
        contestants[name] = functools.partial(_convert, way, source, place, environment)
    results = alternate(contestants, rounds)
    ids = {result.dataset_id for rounds in results.values() for result in rounds}
    assert len(ids) == 1, f"datasets that should be equal are not: {ids}"
    _show(results)


def _spark_environment(folder: Path) -> dict[str, str]:
    """Returns what lets the cluster keep its files in a folder."""
    import pyspark

    folder.mkdir()
    for entry in Path(pyspark.__file__).parent.iterdir():
        (folder / entry.name).symlink_to(entry)  # the cluster makes its `work` beside them
    return {"SPARK_HOME": str(folder), "SPARK_LOCAL_IP": "127.0.0.1"}


def _convert(way: Way, source: Source, place: Place, environment: dict[str, str]) -> Result:
    """Runs the command once, and removes what it made.

    Raises:
        CommandError: It failed.
    """
    shard_bytes = -(-source.rows // PIECES) * RECORD_BYTES
    flags = ["--json", "--shard-bytes", str(shard_bytes), "--split", "train=1"]
    flags += ["--crop", *map(str, BOX), "--size", *map(str, SIZE), *way.flags]
    command = [sys.executable, "-m", "convert", f"{way.manifest}/{source.manifest.name}"]
    try:
        done = run([*command, way.output, *flags], ROOT, environment, place.folder)
    finally:
        filesystem_of(way.output).remove_tree(way.output)
        os.sync()  # what one has left to write must not slow down the next
    summary = json.loads(done.last_line)
    return Result(
        whole=Cost(amount=source.rows, seconds=done.wall, cpu_seconds=done.cpu),
        work=Cost(amount=source.rows, seconds=summary["seconds"]),
        dataset_id=summary["dataset_id"],
    )


def _show(results: dict[str, list[Result]]) -> None:
    """Prints medians over rounds."""
    print(f"{'':20}{'rows/s':>8}{'of work':>9}{'start-up s':>12}{'CPU us/row':>12}")
    for name, rounds in results.items():
        print(f"{name:20}{median(one.whole.rate for one in rounds):>8,.0f}", end="")
        print(f"{median(one.work.rate for one in rounds):>9,.0f}", end="")
        start = median(one.whole.seconds - one.work.seconds for one in rounds)
        cpu = median(one.whole.cpu_seconds / one.whole.amount for one in rounds) * 1e6
        print(f"{start:>12.1f}" + (f"{cpu:>12,.0f}" if name != _SPARK else ""))
    for name in results:
        base = _FAR if name == _SPARK else _BASE
        if name != base and base in results:
            mine, others = results[name], results[base]
            whole = ratio([one.whole for one in mine], [one.whole for one in others])
            work = ratio([one.work for one in mine], [one.work for one in others])
            print(f"{name} against {base}: {whole:.2f} times the rows/s; of work {work:.2f}")
