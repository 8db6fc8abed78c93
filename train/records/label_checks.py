"""Labels of a dataset, checked before the first step rather than in the middle of an epoch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from convert.dataset.info import DatasetInfo
from train.errors import FormatError
from train.records.reading.reader import Ints, RecordReader

_CHUNK_RECORDS = 1 << 16  # labels read at once: some MB, and far more than a call costs
# Of shards: what a default window holds and thus brings into memory anyway. A page of each record
# is read; of larger splits that would take minutes, and each record is checked when it is read.
_MOST_BYTES = 4 << 30


def require_sense(path: str, info: DatasetInfo) -> None:
    """Checks that a dataset has something to learn.

    Args:
        path: The dataset's folder or address, for the message.
        info: The dataset.

    Raises:
        FormatError: Each output has one class only.
    """
    if all(len(classes) == 1 for classes in info.classes.values()):
        raise FormatError(
            f"{path}: each output has one class, so there is nothing to learn. Convert again, "
            "with labels of two classes or more."
        )


def require_labels(reader: RecordReader, info: DatasetInfo, num_records: int) -> None:
    """Checks that the labels of a split's first records are classes; no image is read.

    Shards that have to be brought from far are left out, and so are very large splits: of these
    each record is checked when it is first read.

    Args:
        reader: The records of a split; one that stops at bad records.
        info: Their dataset.
        num_records: How many are read. In [1, the split's].

    Raises:
        RecordError: One is none, or its record is damaged.
    """
    split_bytes = sum(file.shard.bytes for file in reader.files)
    if reader.far is not None or split_bytes * num_records > _MOST_BYTES * reader.num_records:
        return
    sizes = np.array([len(classes) for classes in info.classes.values()])
    for start, labels in label_chunks(reader, num_records):
        bad = np.flatnonzero((labels >= sizes).any(axis=1))
        if len(bad):
            reader.gather(start + bad[:1])  # says of it what is wrong


def label_chunks(reader: RecordReader, num_records: int) -> Iterator[tuple[int, Ints]]:
    """Yields the labels of a split's first records, unchecked, some thousand at a time.

    Args:
        reader: The records.
        num_records: How many of them. In [1, the split's].

    Yields:
        Number of the first record, and labels, int64, shape (records, outputs).
    """
    for start in range(0, num_records, _CHUNK_RECORDS):
        records = np.arange(start, min(start + _CHUNK_RECORDS, num_records))
        yield start, reader.labels(records)
