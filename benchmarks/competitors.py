"""The competitors of `convert.py`, and the files that they convert."""

from __future__ import annotations

import csv
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

from benchmarks.converters.strips import BOX, PIECES, SIZE
from benchmarks.peers import FFCV, LITDATA, STREAMING, Peer

SAMPLE = Path(__file__).resolve().parent.parent / "data" / "sample"
IMAGE_BYTES = SIZE[0] * SIZE[1] * 3
RECORD_BYTES = 12_500  # an image, its labels and its frame, rounded up
WORKERS = 2  # the targets are meant for two cores
WARM_UP_PART = 8  # one eighth of the rows brings all code and the libraries into the page cache
FOLDER_FILES = 1000  # files in one folder

OURS, OURS_ALONE, LOOP = "ours", "ours, 1 worker", "Example loop"


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """Files to convert.

    Attributes:
        manifest: CSV with a row for each file; paths are relative to its folder.
        rows: Number of its rows.
    """

    manifest: Path
    rows: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Competitor:
    """A way to convert.

    Attributes:
        about: What it is.
        python: Interpreter of its environment.
        distribution: The package whose version is worth knowing.
        arguments: Makes the interpreter's arguments from a source and an output folder.
    """

    about: str
    python: Path
    distribution: str
    arguments: Callable[[Source, Path], list[str]]

    def versions(self, environment: dict[str, str]) -> str:
        """Returns the versions in its environment."""
        code = (
            "import sys, importlib.metadata, PIL; "
            "print(sys.argv[1], importlib.metadata.version(sys.argv[1]) + ', Pillow', "
            "PIL.__version__)"
        )
        command = [str(self.python), "-c", code, self.distribution]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
        return done.stdout.strip()


def competitors() -> dict[str, Competitor]:
    """Returns those that are installed."""
    found = {
        OURS: _ours(WORKERS),
        OURS_ALONE: _ours(1),
        LOOP: _other("tf.train.Example and TFRecordWriter, one process", "examples", 1),
        "Example pool": _other(f"the same in a pool of {WORKERS}", "examples", WORKERS),
    }
    for name, about, module, peer in (
        ("LitData", f"optimize with {WORKERS} workers", "chunks", LITDATA),
        ("MDS", f"MosaicML's MDSWriter in a pool of {WORKERS}", "mds", STREAMING),
        ("FFCV", f"DatasetWriter with {WORKERS} workers", "beton", FFCV),
    ):
        if not peer.missing():
            found[name] = _other(about, module, WORKERS, peer)
    return found


def _ours(workers: int) -> Competitor:
    """Returns shardfeed."""

    def arguments(source: Source, output: Path) -> list[str]:
        shard_bytes = -(-source.rows // PIECES) * RECORD_BYTES
        flags = ["--workers", str(workers), "--shard-bytes", str(shard_bytes)]
        flags += ["--root", str(source.manifest.parent), "--split", "train=1"]
        flags += ["--crop", *map(str, BOX), "--size", *map(str, SIZE)]
        return ["-m", "benchmarks.converters.shards", str(source.manifest), str(output), *flags]

    return Competitor(
        about=f"python -m convert with {workers} worker(s); flushes its files to the disk",
        python=Path(sys.executable),
        distribution="shardfeed",
        arguments=arguments,
    )


def _other(about: str, module: str, workers: int, peer: Peer | None = None) -> Competitor:
    """Returns one of benchmarks/converters, in a peer's environment or in ours."""

    def arguments(source: Source, output: Path) -> list[str]:
        paths = [str(source.manifest), str(source.manifest.parent), str(output)]
        return ["-m", f"benchmarks.converters.{module}", *paths, str(workers)]

    return Competitor(
        about=about,
        python=peer.python if peer else Path(sys.executable),
        distribution=peer.distribution if peer else "tensorflow",
        arguments=arguments,
    )


def make_sources(folder: Path, rows: int, files: int | None = None) -> tuple[Source, Source]:
    """Copies the sample's files until there are enough.

    Args:
        folder: For the files and the manifests.
        rows: Rows of the manifest.
        files: Files; if they are fewer than rows, each stands in several. None: one for each row.

    Returns:
        All rows, and a small part of them to warm up with.
    """
    with open(SAMPLE / "manifest.csv", encoding="utf-8", newline="") as file:
        sample = list(csv.DictReader(file))
    copies = []
    for index in range(files or rows):
        row = sample[index % len(sample)]
        path = f"{index // FOLDER_FILES:03}/{index:06}{Path(row['path']).suffix}"
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(SAMPLE / row["path"], folder / path)
        copies.append({**row, "path": path})
    few = max(PIECES, len(copies) // WARM_UP_PART)
    return (
        _write_manifest(folder / "all.csv", list(islice(cycle(copies), rows))),
        _write_manifest(folder / "warm-up.csv", copies[:few]),
    )


def _write_manifest(path: Path, rows: list[dict[str, str]]) -> Source:
    """Writes rows as CSV."""
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return Source(manifest=path, rows=len(rows))
