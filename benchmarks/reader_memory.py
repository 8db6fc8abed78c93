"""The reader's memory over many epochs of a large split.

    python benchmarks/reader_memory.py [--records 1000000] [--window 100000] [--epochs 10]

A process of its own goes through the split in a windowed shuffle and tells after each epoch what
it holds: its own memory (RssAnon), and the part of the shards that is mapped at the time
(RssFile), which is page cache that the kernel can take back. To spare the disk, the shards are
100,000 random images of 32x128x3 under ten names each (hard links).
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import os
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

# First, since this folder has a convert.py too.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.readers.images import Task
from benchmarks.readers.shards import make
from convert.dataset.info import DATASET_JSON, shard_file
from convert.dataset.read import read_dataset

BATCH_SIZE = 128
DISTINCT = 100_000
TARGET = "own memory under 300 MB, all under 300 MB + window, flat over the epochs"


def make_dataset(place: Path, num_records: int) -> Path:
    """Makes a dataset of many records, unless an earlier run did."""
    folder, one = place / f"many-{num_records}", place / f"once-{DISTINCT}"
    if (folder / DATASET_JSON).exists():
        return folder
    one.mkdir(parents=True, exist_ok=True)
    if not (one / DATASET_JSON).exists():
        make(Task(folder=one, num_records=DISTINCT, batch_size=BATCH_SIZE))
    folder.mkdir(exist_ok=True)
    info = read_dataset(str(one))
    shards = [shard for shard in info.splits["train"] for _ in range(num_records // DISTINCT)]
    named = []
    for index, shard in enumerate(shards):
        name = shard_file("images", "train", index, len(shards))
        os.link(one / shard.file, folder / name)
        named.append(replace(shard, file=name))
    text = replace(info, splits={"train": tuple(named)}).to_json()
    (folder / DATASET_JSON).write_text(text, encoding="utf-8")
    return folder


def resident() -> dict[str, int]:
    """Returns the bytes of this process's memory by kind."""
    lines = Path("/proc/self/status").read_text().splitlines()
    words = (line.split() for line in lines if line.startswith(("RssAnon", "RssFile", "VmHWM")))
    return {name.rstrip(":"): int(count) * 1024 for name, count, _ in words}


def epochs(folder: str, window: int, count: int, pipe: Any) -> None:
    """Goes through epochs; tells the memory before the first and after each."""
    from train import load_numpy

    pipe.send((0.0, resident()))
    dataset = load_numpy(folder, "train", BATCH_SIZE, window=window)
    for _ in range(count):
        started = time.perf_counter()
        for images, _ in dataset:
            assert len(images) == BATCH_SIZE
        del images
        gc.collect()
        pipe.send((time.perf_counter() - started, resident()))
    pipe.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--window", type=int, default=100_000)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--dir", type=Path, help="where the dataset is made and kept")
    arguments = parser.parse_args()
    place = arguments.dir or Path(tempfile.gettempdir()) / "shardfeed-benchmark"
    folder = make_dataset(place, arguments.records)
    info = read_dataset(str(folder))
    window_bytes = arguments.window * info.layout.stride
    print(f"dataset: {folder} (delete it when done), {len(info.splits['train'])} shards")
    print(f"window: {arguments.window:,} records, {window_bytes / 1e6:,.0f} MB; target: {TARGET}")
    ours, theirs = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("spawn").Process(
        target=epochs, args=(str(folder), arguments.window, arguments.epochs, theirs)
    )
    process.start()
    print(f"{'epoch':>6}{'own MB':>9}{'mapped MB':>11}{'peak MB':>9}{'images/s':>10}")
    for epoch in range(1 + arguments.epochs):
        seconds, memory = ours.recv()
        rate = f"{arguments.records / seconds:,.0f}" if seconds else ""
        own, mapped, peak = (memory[name] / 1e6 for name in ("RssAnon", "RssFile", "VmHWM"))
        print(
            f"{epoch or 'start':>6}{own:>9,.0f}{mapped:>11,.0f}{peak:>9,.0f}{rate:>10}", flush=True
        )
    process.join()


if __name__ == "__main__":
    main()
