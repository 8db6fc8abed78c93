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
from benchmarks.converters.strips import BOX, SIZE
from benchmarks.hdfs_parts.place import ROOT, Place
from benchmarks.hdfs_parts.rounds import Cost, alternate, ratio
from benchmarks.process import CommandError, run
from convert.storage.places import filesystem_of

_SHARDS = 4  # two for each worker
MASTER = "local-cluster[2,1,1024]"
METHOD = f"""\
convert: the whole command in a fresh process, 2 workers, {_SHARDS} shards; in turn; medians of
  rounds, of ratios too; page cache warm; equal rows make datasets of one id, else it is an error
  rows: more than files, so each is read several times
  few: seconds that the command takes for a few rows: start-up of Python or of Spark, and files of
  HDFS to complete, 0.5 s each however small
  beyond: rows/s of all the other rows, by what they take longer
  CPU: of all its processes; Spark's executors are not counted, nor are the daemons of HDFS, which
  share the cores with the rest where they run here
  Spark: {MASTER}, with Spark's own settings, against the local engine"""
_SPARK, _BASE, _FAR = "spark, hdfs to hdfs", "local to local", "hdfs to hdfs"
_MASTER_FLAGS = ("--engine", "spark", "--master", MASTER)
_LOCAL_FLAGS = ("--workers", "2")


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What a command took.

    Attributes:
        whole: For all rows.
        few: For a few rows.
        dataset_ids: Of what both made.
    """

    whole: Cost
    few: Cost
    dataset_ids: tuple[str, str]

    @property
    def beyond(self) -> Cost:
        """What the other rows took."""
        return Cost(
            amount=self.whole.amount - self.few.amount,
            seconds=max(self.whole.seconds - self.few.seconds, 1e-3),
        )


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


def measure(place: Place, source: Source, few: Source, *, rounds: int) -> None:
    """Prints rows/s of every way.

    Args:
        place: Has the sources too, in a folder of the same name as that of the local ones.
        source: The rows, in local files.
        few: Some of them.
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
        try:  # unmeasured: brings code and libraries into the page cache
            _convert(way, few, place, environment)
        except CommandError as error:
            print(f"{name}: left out, it failed: {error}", flush=True)
            continue
        contestants[name] = functools.partial(_both, way, source, few, place, environment)
    results = alternate(contestants, rounds)
    ids = {result.dataset_ids for rounds in results.values() for result in rounds}
    assert len(ids) == 1, f"datasets that should be equal are not: {ids}"
    _show(results, few.rows)


def _spark_environment(folder: Path) -> dict[str, str]:
    """Returns the settings by which the cluster keeps its files in a folder."""
    import pyspark

    folder.mkdir()
    for entry in Path(pyspark.__file__).parent.iterdir():
        (folder / entry.name).symlink_to(entry)  # the cluster makes its `work` beside them
    return {"SPARK_HOME": str(folder), "SPARK_LOCAL_IP": "127.0.0.1"}


def _both(
    way: Way, source: Source, few: Source, place: Place, environment: dict[str, str]
) -> Result:
    """Converts a few rows, then all."""
    (start, first), (whole, second) = (
        _convert(way, rows, place, environment) for rows in (few, source)
    )
    return Result(whole=whole, few=start, dataset_ids=(first, second))


def _convert(
    way: Way, source: Source, place: Place, environment: dict[str, str]
) -> tuple[Cost, str]:
    """Runs the command once, and removes what it made.

    Returns:
        What it took, and the dataset's id.

    Raises:
        CommandError: It failed.
    """
    shard_bytes = -(-source.rows // _SHARDS) * RECORD_BYTES
    flags = ["--json", "--shard-bytes", str(shard_bytes), "--split", "train=1"]
    flags += ["--crop", *map(str, BOX), "--size", *map(str, SIZE), *way.flags]
    command = [sys.executable, "-m", "convert", f"{way.manifest}/{source.manifest.name}"]
    try:
        done = run([*command, way.output, *flags], ROOT, environment, place.folder)
    finally:
        filesystem_of(way.output).remove_tree(way.output)
        os.sync()  # what one has left to write must not slow down the next
    cost = Cost(amount=source.rows, seconds=done.wall, cpu_seconds=done.cpu)
    return cost, json.loads(done.last_line)["dataset_id"]


def _show(results: dict[str, list[Result]], few: int) -> None:
    """Prints medians over rounds."""
    print(f"{'':20}{'rows/s':>8}{f's for {few}':>12}{'rows/s beyond':>15}{'CPU us/row':>12}")
    for name, rounds in results.items():
        print(f"{name:20}{median(one.whole.rate for one in rounds):>8,.0f}", end="")
        print(f"{median(one.few.seconds for one in rounds):>12.1f}", end="")
        print(f"{median(one.beyond.rate for one in rounds):>15,.0f}", end="")
        cpu = median(one.whole.cpu_seconds / one.whole.amount for one in rounds) * 1e6
        print("" if name == _SPARK else f"{cpu:>12,.0f}")
    for name in results:
        base = _FAR if name == _SPARK else _BASE
        if name != base and base in results:
            mine, others = results[name], results[base]
            whole = ratio([one.whole for one in mine], [one.whole for one in others])
            beyond = ratio([one.beyond for one in mine], [one.beyond for one in others])
            print(f"{name} against {base}: {whole:.2f} times the rows/s; beyond {beyond:.2f}")
