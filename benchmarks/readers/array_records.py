"""Grain over ArrayRecord, uncompressed, as NumPy arrays: a tensor of them would cost nothing."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from functools import partial
from itertools import islice
from typing import Any

import numpy as np

from benchmarks.readers.images import IMAGE_BYTES, IMAGE_SHAPE, Labels, Pixels, Task, records
from benchmarks.readers.serve import Candidates, serve

grain: Any = importlib.import_module("grain")
array_record: Any = importlib.import_module("array_record.python.array_record_module")
flags: Any = importlib.import_module("absl.flags")

FILE = "images.array_record"
SEED = 0


def make(task: Task) -> None:
    """Writes the dataset, one record a group: what random reads want."""
    path = str(task.folder / FILE)
    writer = array_record.ArrayRecordWriter(path, "group_size:1,uncompressed")
    for image, label in records(task.num_records):
        writer.write(image + label)
    writer.close()


def to_batch(rows: list[bytes]) -> tuple[Pixels, Labels]:
    """Makes the arrays of a batch."""
    joined = np.frombuffer(b"".join(rows), np.uint8).reshape(len(rows), -1)
    images = np.ascontiguousarray(joined[:, :IMAGE_BYTES]).reshape(-1, *IMAGE_SHAPE)
    return images, np.ascontiguousarray(joined[:, IMAGE_BYTES:]).view(np.int32)


class Loader:
    """Takes one epoch after the other from an endless iterator, whose workers stay."""

    def __init__(self, task: Task, dataset: Any) -> None:
        self._batches = iter(dataset)
        self._length = task.num_records // task.batch_size

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        for images, labels in islice(self._batches, self._length):
            yield images, labels[:, 0]


def record_by_record(task: Task, workers: int, threads: int) -> Loader:
    """A map of records, then batches, as the documentation has it."""
    source = grain.sources.ArrayRecordDataSource([str(task.folder / FILE)])
    batches = grain.MapDataset.source(source).seed(SEED).shuffle().repeat()
    batches = batches.batch(task.batch_size, batch_fn=to_batch)
    return Loader(task, _iterate(batches, workers, threads))


def batch_by_batch(task: Task, workers: int, threads: int) -> Loader:
    """A map of record numbers in batches, each of which the source then reads in one call."""
    source = grain.sources.ArrayRecordDataSource([str(task.folder / FILE)])
    batches = grain.MapDataset.range(task.num_records).seed(SEED).shuffle().repeat()
    batches = batches.batch(task.batch_size, batch_fn=list).map(source.__getitems__).map(to_batch)
    return Loader(task, _iterate(batches, workers, threads))


def _iterate(batches: Any, workers: int, threads: int) -> Any:
    """Reads batches ahead in threads and, if wanted, in worker processes."""
    options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=2 * threads)
    dataset = batches.to_iter_dataset(options)
    if not workers:
        return dataset
    return dataset.mp_prefetch(grain.MultiprocessingOptions(workers, per_worker_buffer_size=2))


def candidates(task: Task) -> Candidates:
    single = {
        f"single reads, {workers} workers, {threads} threads": (record_by_record, workers, threads)
        for workers, threads in ((0, 1), (2, 1), (4, 1))
    }
    batched = {
        f"batched reads, {workers} workers, {threads} threads": (batch_by_batch, workers, threads)
        for workers, threads in ((0, 0), (0, 1), (0, 2), (0, 4), (1, 1), (2, 1))
    }
    return {
        name: partial(opens, task, workers, threads)
        for name, (opens, workers, threads) in (single | batched).items()
    }


if __name__ == "__main__":
    flags.FLAGS(["array_records"])  # its libraries read their options there
    serve(make, candidates)
