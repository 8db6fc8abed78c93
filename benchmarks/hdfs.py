"""How fast HDFS is read, converted and trained from: against the raw client and a local disk.

    python benchmarks/hdfs.py [read] [convert] [train] [small] [--quick] [--url hdfs://HOST/FOLDER]

Without names of parts all four run. Without --url a NameNode and a DataNode are started on
loopback, as the tests do (Java 17): they then share cores, page cache and disk with what is
measured, so take the ratios, which are within rounds. `--url` measures on a cluster of yours, in a
new folder that is removed again. The aim is printed, never judged.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from dataclasses import dataclass, fields
from pathlib import Path

# First, since this folder has a convert.py too.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.competitors import make_sources
from benchmarks.hdfs_parts import convert, read, small, train
from benchmarks.hdfs_parts.place import Place, open_place
from convert.images.sources.prefetch import READ_THREADS

AIM = "streams, and first epochs, at 0.8 times the raw client's rate"
PARTS = ("read", "convert", "train", "small")
_SOURCES = "sources"


@dataclass(frozen=True, kw_only=True, slots=True)
class Sizes:
    """How much is measured.

    Attributes:
        megabytes: Size of the large file, in MiB.
        rows: Rows to convert.
        files: Images that they name; also small files to read.
        records: Records of the dataset, 12 KB each.
        rounds: Of each part; `read`, which is quick, takes twice as many.
    """

    megabytes: int
    rows: int
    files: int
    records: int
    rounds: int


FULL = Sizes(megabytes=256, rows=16_000, files=4000, records=80_000, rounds=3)
QUICK = Sizes(megabytes=64, rows=2000, files=500, records=20_000, rounds=1)


def measure_read(place: Place, sizes: Sizes) -> None:
    """Reads one large file."""
    print(read.METHOD, flush=True)
    read.measure(place, megabytes=sizes.megabytes, rounds=2 * sizes.rounds)


def measure_train(place: Place, sizes: Sizes) -> None:
    """Reads epochs."""
    print(train.METHOD.format(batch=train.BATCH_SIZE), flush=True)
    train.measure(place, records=sizes.records, rounds=sizes.rounds)


def measure_images(place: Place, sizes: Sizes, parts: list[str]) -> None:
    """Converts images, and reads them as they are."""
    folder = place.folder / _SOURCES
    source, warm_up = make_sources(folder, sizes.rows, sizes.files)
    place.upload(folder)
    if "convert" in parts:
        print(convert.METHOD, flush=True)
        convert.measure(place, source, warm_up, rounds=sizes.rounds)
    if "small" in parts:
        print(small.METHOD.format(threads=READ_THREADS), flush=True)
        files = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".csv"]
        paths = sorted(str(path.relative_to(folder)) for path in files)
        small.measure(place, _SOURCES, paths, rounds=sizes.rounds)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    add = parser.add_argument
    add("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all by default")
    add("--quick", action="store_true", help="small numbers, one round: to see that it works")
    add("--url", help="a folder of an HDFS of yours (default: one is started)")
    add("--dir", type=Path, help="where the folder for local files is made; removed again")
    for name, about in (
        ("megabytes", "size of the large file, in MiB"),
        ("rows", "rows to convert"),
        ("files", "images that they name, and small files to read"),
        ("records", "records of the dataset to train on"),
        ("rounds", "rounds; `read` takes twice as many"),
    ):
        add(f"--{name}", type=int, help=f"{about} (default: {getattr(FULL, name):,})")
    arguments = parser.parse_args()
    parts = arguments.parts or list(PARTS)
    if unknown := set(parts).difference(PARTS):
        parser.error(f"no such part: {', '.join(unknown)}; there are {', '.join(PARTS)}")
    preset = QUICK if arguments.quick else FULL
    sizes = Sizes(
        **{
            field.name: getattr(arguments, field.name) or getattr(preset, field.name)
            for field in fields(Sizes)
        }
    )
    print(f"machine: {os.cpu_count()} CPUs, Python {platform.python_version()}, ", end="")
    print(f"load average {os.getloadavg()[0]:.1f}\naim: {AIM}", flush=True)
    with open_place(arguments.url, arguments.dir) as place:
        print("HDFS: " + (arguments.url or "one DataNode, started here"), flush=True)
        if "read" in parts:
            measure_read(place, sizes)
        if "train" in parts:
            measure_train(place, sizes)
        if {"convert", "small"}.intersection(parts):
            measure_images(place, sizes, parts)
    print(f"load average at the end: {os.getloadavg()[0]:.1f}, with ours in it")


if __name__ == "__main__":
    main()
