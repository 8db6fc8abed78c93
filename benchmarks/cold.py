"""Reading a dataset that is not in memory, against reading its files from end to end.

    python benchmarks/cold.py [--records 300000] [--window 0.1] [--rounds 3] [--dir DIR]

The page cache is dropped before each pass (by /proc/sys/vm/drop_caches where this is allowed, else
by posix_fadvise(DONTNEED) on each file; it says which). Then one after the other goes through all
bytes once, in turn: `dd` with blocks of 1 MiB, file after file; our arrays, and our tf.data
pipeline, both in a windowed shuffle whose window is a share of the split. CRCs are compared, as
in any first epoch. Ratios are taken within rounds.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

# First, since this folder has a convert.py too.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.readers.images import Task
from benchmarks.readers.shards import make
from convert.dataset.info import DATASET_JSON

DROP = Path("/proc/sys/vm/drop_caches")
BATCH_SIZE = 128
TARGET = "at least 0.85 times dd"


def drop(files: list[Path]) -> str:
    """Drops files from the page cache; returns how."""
    os.sync()
    try:
        DROP.write_text("3\n")
        return "/proc/sys/vm/drop_caches"
    except OSError:
        forget(files)
        return "posix_fadvise(DONTNEED)"


def forget(files: list[Path]) -> None:
    """Drops files that no process has mapped from the page cache, and nothing else."""
    for file in files:
        descriptor = os.open(file, os.O_RDONLY)
        os.fsync(descriptor)  # what is not written yet would stay
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def disk_bytes() -> int:
    """Returns the bytes that this process has read from disks so far."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("read_bytes"))


def dd(files: list[Path]) -> None:
    for file in files:
        subprocess.run(
            ["dd", f"if={file}", "of=/dev/null", "bs=1M"], check=True, capture_output=True
        )


def one_pass(name: str, folder: Path, files: list[Path], window: int) -> tuple[float, float]:
    """Goes through the dataset once; returns seconds, and the share that came from disk."""
    import train  # not in the time: its start is not what is measured

    load = {"arrays": train.load_numpy, "tf.data": train.load_dataset}.get(name)
    if name == "tf.data":
        import tensorflow  # noqa: F401
    drop(files)
    started, before = time.perf_counter(), disk_bytes()
    if load is None:
        dd(files)
    else:
        for images, _ in load(str(folder), "train", BATCH_SIZE, window=window):
            assert images.shape[0] == BATCH_SIZE
    seconds = time.perf_counter() - started
    size = sum(file.stat().st_size for file in files)
    return seconds, (disk_bytes() - before) / size


def measure(folder: Path, files: list[Path], window: int, rounds: int) -> dict[str, list[float]]:
    """Returns each competitor's bytes per second of each round, a fresh process for each pass."""
    size = sum(file.stat().st_size for file in files)
    rates: dict[str, list[float]] = {}
    context = multiprocessing.get_context("spawn")
    for _ in range(rounds):
        for name in ("dd", "arrays", "tf.data"):
            with context.Pool(1) as pool:  # what a process has mapped cannot be dropped
                seconds, share = pool.apply(one_pass, (name, folder, files, window))
            rates.setdefault(name, []).append(size / seconds)
            told = "" if name == "dd" else f", {share:.0%} of the bytes came from disk"
            print(f"  {name:8} {size / seconds / 1e6:8,.0f} MB/s{told}", flush=True)
    return rates


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--records", type=int, default=300_000)
    parser.add_argument("--window", type=float, default=0.1, help="share of the split")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dir", type=Path, help="where the dataset is made and kept")
    arguments = parser.parse_args()
    place = arguments.dir or Path(tempfile.gettempdir()) / "shardfeed-benchmark"
    folder = place / f"cold-{arguments.records}"
    if not (folder / DATASET_JSON).exists():
        folder.mkdir(parents=True, exist_ok=True)
        make(Task(folder=folder, num_records=arguments.records, batch_size=BATCH_SIZE))
    files = sorted(folder.glob("*-of-?????"))
    window = int(arguments.records * arguments.window)
    print(f"dataset: {folder} (delete it when done); window: {window:,} records")
    print(f"load average {os.getloadavg()[0]:.1f}, {os.cpu_count()} CPUs; target: {TARGET}")
    print(f"page cache dropped by {drop(files)}", flush=True)
    rates = measure(folder, files, window, arguments.rounds)
    for name, measured in rates.items():
        ratio = median(a / b for a, b in zip(measured, rates["dd"], strict=True))
        print(f"{name:8} {median(measured) / 1e6:8,.0f} MB/s   {ratio:.2f} times dd")


if __name__ == "__main__":
    main()
