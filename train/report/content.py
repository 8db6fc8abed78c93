"""Gathers the content of a report from a run's folder and its splits."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from convert.dataset.info import DatasetInfo
from convert.storage.regular_files import open_regular
from train.evaluation.calibration import Calibration
from train.evaluation.calibration_file import read_calibration
from train.evaluation.parts import Part, by_part
from train.evaluation.predictions import Evaluation, least_certain_records, worst_records
from train.model.recogniser import num_parameters
from train.records.batches import BatchSource
from train.records.count_classes import ClassCounts
from train.runs.events import started
from train.runs.folder import BAD_RECORDS, BEST, EVENTS, HISTORY, RunFolder
from train.runs.history import Row
from train.runs.new_folder import name_of

if TYPE_CHECKING:
    import keras

NUM_PICTURES = 18
"""Images of each kind: three rows of six on a wide page."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """An image of the validation split and what was read in it.

    Attributes:
        pixels: uint8, shape (height, width, channels).
        row: Its manifest row.
        path: Its image, as the manifest spells it; empty if that is not known.
        record: Its place in the split.
    """

    pixels: np.ndarray[Any, np.dtype[np.uint8]]
    row: int
    path: str
    record: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Validation:
    """What the best weights read in the validation split.

    Attributes:
        evaluation: The predictions.
        worst: The wrongly read records with the largest losses, the worst first; if there are
            none, those with the lowest confidence, the lowest first.
        random: Some records, the same for each run with this seed and split.
        parts: The predictions for each dataset, where there are several.
    """

    evaluation: Evaluation
    worst: list[Picture]
    random: list[Picture]
    parts: Sequence[tuple[Part, Evaluation]] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Content:
    """What a report tells.

    Attributes:
        path: The run's folder, as the user calls it.
        info: The dataset.
        options: Content of config.json.
        environment: Content of environment.json.
        history: A row an epoch, at least one; values that are no numbers are NaN.
        started: When the run began, in seconds since 1970. None: its `events` are gone.
        ended: When its last epoch ended.
        best: The epoch whose weights are kept, from 1.
        bad_records: Records that were replaced by others.
        parameters: Numbers in the model that training changes.
        model_bytes: Size of the file of the best weights.
        class_counts: Occurrences of each class in the training split.
        validation: What the model read of the validation split. None: there is no such split.
        calibration: How the confidences in it were calibrated.
    """

    path: str
    info: DatasetInfo
    options: Mapping[str, Any]
    environment: Mapping[str, Any]
    history: Sequence[Mapping[str, float]]
    started: float | None
    ended: float
    best: int
    bad_records: int
    parameters: int
    model_bytes: int
    class_counts: ClassCounts
    validation: Validation | None
    calibration: Calibration

    @property
    def name(self) -> str:
        """What the run is called."""
        return name_of(self.path)

    def column(self, name: str) -> list[tuple[float, float]]:
        """Returns a column of the history: (epoch, value)."""
        return [(row["epoch"], row.get(name, math.nan)) for row in self.history]

    def at_best(self, name: str) -> float:
        """Returns a column's value at the best epoch; NaN if there is none."""
        return next(
            (row.get(name, math.nan) for row in self.history if row["epoch"] == self.best), math.nan
        )


def gather(
    run: RunFolder,
    model: keras.Model,
    best: Row,
    class_counts: ClassCounts,
    validation: Validation | None,
) -> Content:
    """Reads what a report tells.

    Args:
        run: The run.
        model: Its network; only its variables are counted.
        best: The history's row of the epoch whose weights are kept.
        class_counts: Occurrences of each class in the training split.
        validation: What these weights read in the validation split, or None.
    """
    return Content(
        path=run.address,
        info=run.dataset_info(),
        options=run.config(),
        environment=run.environment(),
        history=[{name: _number(text) for name, text in row.items()} for row in run.history()],
        started=started(run.file(EVENTS)),
        ended=os.path.getmtime(run.file(HISTORY)),
        best=best["epoch"],
        bad_records=_num_lines(run.file(BAD_RECORDS)),
        parameters=num_parameters(model),
        model_bytes=os.path.getsize(run.file(BEST)),
        class_counts=class_counts,
        validation=validation,
        calibration=read_calibration(run),
    )


def read_validation(
    source: BatchSource, evaluation: Evaluation, seed: int, parts: Sequence[Part] = ()
) -> Validation:
    """Chooses the images of a report and reads them.

    Args:
        source: The validation split, unshuffled.
        evaluation: What was read in it.
        seed: Of the choice.
        parts: The split's, where it is that of several datasets.
    """
    records = len(evaluation.labels)
    rng = np.random.default_rng(seed)
    chosen = sorted(rng.choice(records, min(NUM_PICTURES, records), replace=False).tolist())
    worst = worst_records(evaluation, NUM_PICTURES)
    return Validation(
        evaluation=evaluation,
        worst=_pictures(source, worst or least_certain_records(evaluation, NUM_PICTURES)),
        random=_pictures(source, chosen),
        parts=list(by_part(evaluation, parts)),
    )


def _pictures(source: BatchSource, records: Sequence[int]) -> list[Picture]:
    """Reads some records."""
    if not records:
        return []
    numbers = np.array(records, np.int64)
    images, _ = source.reader.gather(numbers)
    rows, paths = source.reader.rows(numbers).tolist(), source.reader.sources(numbers)
    return [
        Picture(pixels=pixels, row=row, path=path, record=record)
        for pixels, row, path, record in zip(images, rows, paths, records, strict=True)
    ]


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _num_lines(path: str) -> int:
    """Returns the lines of a file; none if there is no file."""
    try:
        with open(path, "rb", opener=open_regular) as file:
            return sum(1 for _ in file)
    except FileNotFoundError:
        return 0
