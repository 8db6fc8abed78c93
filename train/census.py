"""Counts how often each class occurs in a split; a run keeps the counts."""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np

from convert.local import write_file
from convert.metadata import DatasetInfo
from train.folder import CLASS_COUNTS, RunFolder
from train.records import Ints, RecordReader
from train.stored import load_json
from train.values import is_whole

ClassCounts = Mapping[str, Ints]
"""Vocabulary -> occurrences of each class in all of its outputs, int64, shape (classes,)."""

_CHUNK_RECORDS = 1 << 16  # labels read at once: some MB, and far more than a call costs


def count_classes(reader: RecordReader, info: DatasetInfo) -> dict[str, Ints]:
    """Counts the classes of all records; no image is read.

    Args:
        reader: The records. Those whose labels are out of range are left out.
        info: Its dataset.
    """
    counts = {name: np.zeros(len(classes), np.int64) for name, classes in info.vocabularies.items()}
    sizes = np.array([len(classes) for classes in info.classes.values()])
    for start in range(0, reader.num_records, _CHUNK_RECORDS):
        records = np.arange(start, min(start + _CHUNK_RECORDS, reader.num_records))
        labels = reader.labels(records)
        labels = labels[((labels >= 0) & (labels < sizes)).all(axis=1)]
        for position, name in enumerate(info.outputs.values()):
            counts[name] += np.bincount(labels[:, position], minlength=len(counts[name]))
    return counts


def write_class_counts(run: RunFolder, counts: ClassCounts) -> None:
    """Writes a run's class_counts.json: {vocabulary: occurrences of each class}.

    So an evaluation needs no training split, which may be large, or on another machine.

    Raises:
        TryAgainError: The disk is full or damaged.
    """
    content = {name: numbers.tolist() for name, numbers in counts.items()}
    with run.writing(CLASS_COUNTS):
        write_file(run.file(CLASS_COUNTS), json.dumps(content, ensure_ascii=False) + "\n")


def read_class_counts(run: RunFolder) -> ClassCounts | None:
    """Reads a run's class_counts.json; None if it cannot be read."""
    try:
        content = load_json(run.file(CLASS_COUNTS))
    except (OSError, ValueError):
        return None
    lists = content.values() if isinstance(content, dict) else [None]
    if not all(isinstance(numbers, list) and all(map(is_whole, numbers)) for numbers in lists):
        return None
    counts = {name: np.array(numbers, np.int64) for name, numbers in content.items()}
    sizes = {name: (len(classes),) for name, classes in run.dataset_info().vocabularies.items()}
    return counts if {name: found.shape for name, found in counts.items()} == sizes else None
