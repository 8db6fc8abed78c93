"""WebDataset with raw bytes: shards in random order and a shuffle buffer."""

from __future__ import annotations

import importlib
from functools import partial
from itertools import islice
from typing import Any

from benchmarks.readers.images import Task, records
from benchmarks.readers.serve import Candidates, serve
from benchmarks.readers.torch_batches import WORKERS, Loader, collate_whole

wds: Any = importlib.import_module("webdataset")

SHARDS = 8  # a multiple of all numbers of workers
SHUFFLE_BUFFER = 8192  # records of all workers together, as tf.data has
MEMBER = "record.bin"  # one file a record: two would double the work of reading the archive


def make(task: Task) -> None:
    """Writes the shards."""
    source = enumerate(records(task.num_records))
    length = -(-task.num_records // SHARDS)
    for index in range(SHARDS):
        with wds.TarWriter(str(task.folder / f"{index:03}.tar")) as writer:
            for row, (image, label) in islice(source, length):
                writer.write({"__key__": f"{row:09}", MEMBER: image + label})


def open_loader(task: Task, workers: int) -> Loader:
    """Opens the dataset."""
    shards = sorted(str(file) for file in task.folder.glob("*.tar"))
    dataset = (
        wds.WebDataset(shards, shardshuffle=SHARDS)
        .shuffle(SHUFFLE_BUFFER // max(1, workers))
        .map(_bytes)
        .batched(task.batch_size, collation_fn=collate_whole, partial=True)
    )
    return Loader(
        wds.WebLoader(dataset, batch_size=None, num_workers=workers, persistent_workers=workers > 0)
    )


def _bytes(record: dict[str, Any]) -> bytes:
    """Returns a record's bytes."""
    content: bytes = record[MEMBER]
    return content


def candidates(task: Task) -> Candidates:
    return {f"{workers} workers": partial(open_loader, task, workers) for workers in WORKERS}


if __name__ == "__main__":
    serve(make, candidates)
