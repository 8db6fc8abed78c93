"""Records that cannot be read, and what is said of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from convert.dataset.info import DatasetInfo

Ints = np.ndarray[Any, np.dtype[Any]]

WRONG_CRC = "is damaged: its CRC is wrong"
LABEL_OUT_OF_RANGE = "has a label out of range"


@dataclass(frozen=True, kw_only=True, slots=True)
class BadRecord:
    """A record that cannot be read.

    Attributes:
        shard: The shard's file.
        record: Number of the record in it.
        row: Its manifest row; not to be trusted if the damage is there.
        source: Path of its image in the manifest; empty if it is not known.
        reason: What is wrong, as the end of a sentence.
    """

    shard: str
    record: int
    row: int
    source: str
    reason: str

    def __str__(self) -> str:
        source = f", {self.source}" if self.source else ""
        return f"{self.shard}: record {self.record} (manifest row {self.row}{source}) {self.reason}"


class UnreadableError(Exception):
    """Some records cannot be read.

    Args:
        problems: What is wrong with each of them, as the end of a sentence, by record number.
    """

    def __init__(self, problems: dict[int, str]) -> None:
        super().__init__(problems)
        self.problems = problems


def label_problems(info: DatasetInfo, records: Ints, labels: Ints) -> dict[int, str]:
    """Returns which records have a label out of range, and which label.

    Args:
        info: The dataset.
        records: The records' numbers, shape (batch,).
        labels: Theirs, shape (batch, outputs).
    """
    outputs = list(info.classes)
    num_classes = np.array([len(classes) for classes in info.classes.values()])
    problems = {}
    # Backwards, so that a record's first wrong label is told.
    for index, output in np.argwhere(labels >= num_classes)[::-1].tolist():
        problems[int(records[index])] = (
            f"{LABEL_OUT_OF_RANGE}: {outputs[output]} is {labels[index, output]}, "
            f"of {num_classes[output]} classes"
        )
    return problems
