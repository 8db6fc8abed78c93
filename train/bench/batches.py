"""The batches whose reading is measured."""

from __future__ import annotations

from convert.dataset.read import OpenDataset
from train.bench.config import BenchConfig
from train.config import VerifyRecords
from train.input.options import open_source
from train.records.batches import BatchSource


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
