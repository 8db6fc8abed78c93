"""LitData's `StreamingDataset` with raw bytes, from the local disk."""

from __future__ import annotations

import importlib
import os
from functools import partial
from typing import Any

os.environ["LITDATA_DISABLE_VERSION_CHECK"] = "1"  # else it asks the network before it starts

from benchmarks.readers.images import Task, records
from benchmarks.readers.serve import Candidates, serve
from benchmarks.readers.torch_batches import Loader, collate

litdata: Any = importlib.import_module("litdata")

CHUNK_BYTES = "64MB"  # as in the examples of LitData's documentation


def record(pair: tuple[bytes, bytes]) -> dict[str, bytes]:
    """Returns the item that LitData stores."""
    image, label = pair
    return {"image": image, "label": label}


def make(task: Task) -> None:
    """Writes the dataset."""
    litdata.optimize(
        fn=record,
        inputs=list(records(task.num_records)),
        output_dir=str(task.folder),
        chunk_bytes=CHUNK_BYTES,
        num_workers=1,
        start_method="fork",
        verbose=False,
    )


def open_loader(task: Task, workers: int, batch_decode: str | int) -> Loader:
    """Opens the dataset."""
    dataset = litdata.StreamingDataset(str(task.folder), shuffle=True, batch_decode=batch_decode)
    return Loader(
        litdata.StreamingDataLoader(
            dataset,
            batch_size=task.batch_size,
            num_workers=workers,
            collate_fn=collate,
            persistent_workers=workers > 0,
        )
    )


def candidates(task: Task) -> Candidates:
    return {
        f"{workers} workers, batch_decode {decode}": partial(open_loader, task, workers, decode)
        for workers, decode in (
            (0, "auto"),
            (0, 0),
            (0, "all"),
            (1, "auto"),
            (2, "auto"),
            (4, "auto"),
        )
    }


if __name__ == "__main__":
    serve(make, candidates)
