"""How much conversion costs beyond what it cannot do without: reading and decoding each file.

    python benchmarks/convert_floor.py [--rows 4000] [--rounds 5]

The rows repeat the images of data/sample, so the page cache is warm. The targets are printed,
never judged. Two comparisons, each in rounds whose parts follow each other, so that all meet the
same load of the machine; ratios are taken within rounds:

1. One worker's work per image, in this process: `write_shard` against the bare floor, which
   opens and decodes the same files with Pillow and does nothing else.
2. The whole command with one and with two workers, over four times the rows, and over a small
   part of them. The difference of the two is the cost of the rows alone, without start-up.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import multiprocessing
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL
from PIL import Image, _imaging

# First, since this folder has a convert.py too.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from convert.dataset.record import RecordLayout
from convert.images import ImageOptions
from convert.plan.shard_specs import ShardSpec
from convert.write.write_shard import ShardJob, write_shard

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = ROOT / "data" / "sample"
BOX = (186, 0, 300, 30)  # where data/sample has its characters
SIZE = (128, 32)
LAYOUT = RecordLayout(num_labels=4, image_bytes=SIZE[0] * SIZE[1] * 3)
COMMAND_FACTOR = 4  # the command's rows per row of --rows: start-up must not count
SMALL_PART = 8  # one eighth of the command's rows tells what start-up costs
SHARDS = 8  # an even number of equal shards, so that neither of two workers waits at the end
TARGETS = "at most 1.25 times the floor per image; two workers at least 1.8 times one"

Row = dict[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """What some rows took, per row.

    Attributes:
        wall: Microseconds of wall time.
        cpu: Microseconds of CPU time, children included.
    """

    wall: float
    cpu: float


def cost(work: Callable[[], object], num_rows: int) -> Cost:
    """Measures one run of `work`."""
    wall, cpu = time.perf_counter(), cpu_seconds()
    work()
    return Cost(
        wall=(time.perf_counter() - wall) / num_rows * 1e6,
        cpu=(cpu_seconds() - cpu) / num_rows * 1e6,
    )


def cpu_seconds() -> float:
    """Returns the CPU time of this process and of its finished children."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def sample_rows(count: int) -> list[Row]:
    """Returns rows of data/sample, repeated to a number."""
    with open(SAMPLE / "manifest.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return list(itertools.islice(itertools.cycle(rows), count))


def floor(paths: list[str]) -> None:
    """Opens and decodes files, nothing else."""
    for path in paths:
        with Image.open(SAMPLE / path) as image:
            image.load()


def convert_shard(paths: list[str], staging: Path) -> None:
    """Does one worker's work for one shard, in this process."""
    spec = ShardSpec(
        file="shard",
        rows=np.arange(len(paths)),
        paths=paths,
        labels=np.zeros((len(paths), LAYOUT.num_labels), np.int32),
        boxes=None,
    )
    image = ImageOptions(crop=BOX, size=SIZE)
    job = ShardJob(
        root=str(SAMPLE), staging=str(staging), num_labels=LAYOUT.num_labels, image=image
    )
    write_shard(job, spec)
    (staging / "dataset" / "shard").unlink()


def compare_with_floor(paths: list[str], rounds: int, place: Path) -> None:
    """Prints one worker's cost per image against the floor's."""
    for name in ("attempts", "dataset"):
        (place / name).mkdir()
    floor(paths)  # fills the page cache
    pairs = [
        (
            cost(lambda: floor(paths), len(paths)),
            cost(lambda: convert_shard(paths, place), len(paths)),
        )
        for _ in range(rounds)
    ]
    print(f"one worker's work, {len(paths):,} images, in this process, us per image:")
    for index, name in enumerate(("floor", "write_shard")):
        show(name, [pair[index] for pair in pairs])
    wall = statistics.median(ours.wall / bare.wall for bare, ours in pairs)
    cpu = statistics.median(ours.cpu / bare.cpu for bare, ours in pairs)
    print(f"  write_shard takes {wall:.2f} times the floor's wall time, {cpu:.2f} times its CPU")


def scaling_of_floor(paths: list[str], rounds: int) -> float:
    """Returns how much faster two bare processes are than one: what the machine has to give."""
    half = len(paths) // 2
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        pool.map(floor, [paths, paths], chunksize=1)  # both have loaded Pillow then
        pairs = [
            (
                cost(lambda: pool.map(floor, [paths], chunksize=1), len(paths)),
                cost(
                    lambda: pool.map(floor, [paths[:half], paths[half:]], chunksize=1), len(paths)
                ),
            )
            for _ in range(rounds)
        ]
    return statistics.median(one.wall / two.wall for one, two in pairs)


def run_command(manifest: Path, num_rows: int, workers: int, place: Path) -> None:
    """Runs `convert` over a manifest into a new folder."""
    with tempfile.TemporaryDirectory(dir=place) as folder:
        flags = ["--root", str(SAMPLE), "--workers", str(workers), "--split", "train=1"]
        flags += ["--crop", *map(str, BOX), "--size", *map(str, SIZE)]
        flags += ["--shard-bytes", str(LAYOUT.stride * -(-num_rows // SHARDS))]
        command = [sys.executable, "-m", "convert", str(manifest), str(Path(folder) / "out")]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        subprocess.run([*command, *flags], check=True, capture_output=True, env=environment)


def write_manifest(path: Path, rows: list[Row]) -> Path:
    """Writes rows as CSV."""
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def compare_workers(num_rows: int, rounds: int, place: Path) -> None:
    """Prints the whole command's cost per image with one and with two workers."""
    large, small = num_rows, max(SHARDS, num_rows // SMALL_PART)
    manifests = {n: write_manifest(place / f"{n}.csv", sample_rows(n)) for n in (large, small)}
    whole: dict[int, list[Cost]] = {1: [], 2: []}
    alone: dict[int, list[Cost]] = {1: [], 2: []}
    for _, workers in itertools.product(range(rounds), whole):
        costs = {n: command_cost(manifests[n], n, workers, place) for n in (large, small)}
        whole[workers].append(costs[large])
        alone[workers].append(rows_alone(costs[large], large, costs[small], small))
    print(f"the whole command, {large:,} images, us per image:")
    for title, costs_of in (("with", whole), ("without", alone)):
        for workers, costs_now in costs_of.items():
            show(f"{workers} worker(s), {title} start-up", costs_now)
        pairs = zip(costs_of[1], costs_of[2], strict=True)
        ratio = statistics.median(one.wall / two.wall for one, two in pairs)
        print(f"  two workers are {ratio:.2f} times one, {title} start-up")


def command_cost(manifest: Path, num_rows: int, workers: int, place: Path) -> Cost:
    """Measures one run of the command."""
    return cost(lambda: run_command(manifest, num_rows, workers, place), num_rows)


def rows_alone(large: Cost, num_large: int, small: Cost, num_small: int) -> Cost:
    """Returns the cost of a further row, from two runs of different length."""
    more = num_large - num_small
    return Cost(
        wall=(large.wall * num_large - small.wall * num_small) / more,
        cpu=(large.cpu * num_large - small.cpu * num_small) / more,
    )


def show(name: str, costs: list[Cost]) -> None:
    """Prints the medians."""
    wall = statistics.median(one.wall for one in costs)
    cpu = statistics.median(one.cpu for one in costs)
    print(f"  {name:28} wall {wall:7.1f}  cpu {cpu:7.1f}", flush=True)


def machine() -> str:
    """Describes what the numbers depend on."""
    info = Path("/proc/cpuinfo")
    flags = info.read_text().split() if info.exists() else []
    # The compiler notes its flags in the module, unless someone stripped it.
    built = b"-mavx2" in Path(str(_imaging.__file__)).read_bytes()
    return (
        f"{os.cpu_count()} CPUs, Python {platform.python_version()}, Pillow {PIL.__version__}, "
        f"AVX2: CPU {'yes' if 'avx2' in flags else 'no'}, Pillow {'yes' if built else 'not seen'}, "
        f"load average {os.getloadavg()[0]:.1f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    print(f"machine: {machine()}")
    print("method: page cache warm; competitors in turn; medians of rounds, of ratios too")
    print(f"targets: {TARGETS}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        paths = [row["path"] for row in sample_rows(arguments.rows)]
        compare_with_floor(paths, arguments.rounds, Path(folder))
        scaling = scaling_of_floor(paths, arguments.rounds)
        print(f"  two processes of the floor are {scaling:.2f} times one: the most to hope for")
        compare_workers(COMMAND_FACTOR * arguments.rows, arguments.rounds, Path(folder))


if __name__ == "__main__":
    main()
