"""MosaicML streaming's `StreamingDataset` with raw bytes, from the local disk."""

from __future__ import annotations

import importlib
from functools import partial
from typing import Any

from benchmarks.readers.images import Task, records
from benchmarks.readers.serve import Candidates, serve
from benchmarks.readers.torch_batches import WORKERS, Loader, collate

streaming: Any = importlib.import_module("streaming")
streaming_util: Any = importlib.import_module("streaming.base.util")

COLUMNS = {"image": "bytes", "label": "bytes"}


def make(task: Task) -> None:
    """Writes the dataset; neither compressed nor hashed, as is the default."""
    with streaming.MDSWriter(columns=COLUMNS, out=str(task.folder)) as writer:
        for image, label in records(task.num_records):
            writer.write({"image": image, "label": label})


def open_loader(task: Task, workers: int) -> Loader:
    """Opens the dataset."""
    streaming_util.clean_stale_shared_memory()  # a trial before has left its own
    dataset = streaming.StreamingDataset(
        local=str(task.folder), shuffle=True, batch_size=task.batch_size
    )
    return Loader(
        streaming.StreamingDataLoader(
            dataset,
            batch_size=task.batch_size,
            num_workers=workers,
            collate_fn=collate,
            persistent_workers=workers > 0,
        )
    )


def candidates(task: Task) -> Candidates:
    return {f"{workers} workers": partial(open_loader, task, workers) for workers in WORKERS}


if __name__ == "__main__":
    serve(make, candidates)
