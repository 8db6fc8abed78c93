"""How often each class occurs in the records of a split."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from convert.dataset.info import DatasetInfo
from train.records.label_checks import label_chunks
from train.records.reading.reader import Ints, RecordReader

ClassCounts = Mapping[str, Ints]
"""Vocabulary -> occurrences of each class in all of its outputs, int64, shape (classes,)."""


def count_classes(reader: RecordReader, info: DatasetInfo) -> dict[str, Ints]:
    """Counts the classes of all records; no image is read.

    Args:
        reader: The records. Those whose labels are out of range are left out.
        info: Its dataset.
    """
    counts = {name: np.zeros(len(classes), np.int64) for name, classes in info.vocabularies.items()}
    sizes = np.array([len(classes) for classes in info.classes.values()])
    for _, labels in label_chunks(reader, reader.num_records):
        sound = labels[((labels >= 0) & (labels < sizes)).all(axis=1)]
        for position, name in enumerate(info.outputs.values()):
            counts[name] += np.bincount(sound[:, position], minlength=len(counts[name]))
    return counts
