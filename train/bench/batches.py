"""The batches whose reading is measured: opened as training does, and kept in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from convert.dataset.read import OpenDataset
from train.bench.config import BenchConfig
from train.bench.speed import Stopwatch
from train.config import VerifyRecords
from train.input.open_source import ahead_of, open_source
from train.records.batches import BatchSource
from train.records.order import RecordOrder, default_window

_BYTES = 2 << 30  # far more than the caches of any CPU, little enough to stay in memory
_RECORDS_PER_CALL = 1024


def open_training(
    config: BenchConfig, dataset: OpenDataset, verify: VerifyRecords = "first"
) -> BatchSource:
    """Opens the training split as training does.

    Args:
        config: What is measured.
        dataset: The dataset.
        verify: When to compare a record's CRC.

    Raises:
        UsageError: An option or the dataset's splits do not fit.
        FormatError: The dataset is no valid one.
    """
    return open_source(
        dataset,
        "train",
        config.batch_size,
        config.seed,
        augment=config.augment,
        window=config.window,
        verify_records=verify,
        cache=config.cache,
        cache_bytes=config.cache_bytes,
    )


def in_memory(source: BatchSource, window: int | None, seconds: float) -> BatchSource:
    """Reads the records that fit into a little memory and time; returns a source of these.

    They are read as they lie, which is how disks are fastest. Their CRCs are compared on the way.

    Args:
        source: Has the records, shuffled.
        window: Records that are shuffled as one. None: all, if they take less than 4 GiB.
        seconds: When to stop, with one batch at least.
    """
    reader, watch = source.reader, Stopwatch()
    most = min(reader.num_records, max(source.batch_size, _BYTES // reader.record_bytes))
    num_records = 0
    while num_records < most and (num_records < source.batch_size or watch.seconds < seconds):
        stop = min(num_records + _RECORDS_PER_CALL, most)
        reader.gather(np.arange(num_records, stop))
        num_records = stop
    if num_records == reader.num_records:
        return source
    window = window or default_window(num_records, reader.record_bytes)
    sizes = first_records(reader.shard_records, num_records)
    order = RecordOrder(sizes, seed=source.seed, window=window)
    return replace(source, order=order, read_ahead=ahead_of(reader, order))


def first_records(sizes: Sequence[int], num_records: int) -> list[int]:
    """Returns how many of the first records lie in each of some shards of these sizes."""
    starts = np.cumsum([0, *sizes])[:-1].tolist()
    return [max(0, min(size, num_records - at)) for at, size in zip(starts, sizes, strict=True)]
