"""The class counts that a run keeps of its training split."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping

import numpy as np

from convert.storage.local import write_file
from train.errors import FormatError
from train.records.count_classes import ClassCounts
from train.runs.files.json_csv import is_whole, load_json, quoted
from train.runs.folder import CLASS_COUNTS, RunFolder


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
    """Reads a run's class_counts.json; None if there is none.

    Raises:
        FormatError: It is damaged, or of another dataset.
    """
    path = run.file(CLASS_COUNTS)
    if not os.path.lexists(path):
        return None
    vocabularies = run.dataset_info().vocabularies
    try:
        content = load_json(path)
        problem = _problem(content, {name: len(found) for name, found in vocabularies.items()})
    except OSError as error:
        problem = f"it cannot be read: {error.strerror}"
    except ValueError:
        problem = "it is no JSON"
    if problem:
        raise FormatError(
            f"{run.shown(CLASS_COUNTS)}: damaged: {problem}. Restore it, or remove it."
        )
    return {name: np.array(numbers, np.int64) for name, numbers in content.items()}


def _problem(content: object, sizes: Mapping[str, int]) -> str:
    """Describes an error in the content of class_counts.json; empty if there is none.

    Args:
        content: It.
        sizes: Number of classes of each of the dataset's vocabularies.
    """
    if not isinstance(content, dict) or content.keys() != sizes.keys():
        return "it does not count the classes of the run's dataset"
    for name, numbers in content.items():
        if not isinstance(numbers, list) or len(numbers) != sizes[name]:
            found = f"{len(numbers)} numbers" if isinstance(numbers, list) else quoted(numbers)
            return f"it has {found} for {name!r}, which has {sizes[name]} classes"
        wrong = next((number for number in numbers if not is_whole(number)), None)
        if wrong is not None or None in numbers:
            return f"it has {quoted(wrong)} among the numbers for {name!r}"
    return ""
