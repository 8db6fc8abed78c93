"""Lets models judge the records of a dataset."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from convert.dataset.read import OpenDataset
from train.audit.judgement import Judgement
from train.evaluation.calibration import Scale, calibrated
from train.evaluation.calibration_file import read_calibration, scales_for
from train.evaluation.evaluate import BATCH_SIZE, look_at_batch
from train.input.open_source import open_batches
from train.input.options import SourceArguments
from train.records.batches import BatchSource
from train.records.folds import Fold
from train.runs.folder import RunFolder

if TYPE_CHECKING:
    import keras

Array = np.ndarray[Any, np.dtype[Any]]

TRAINED_ON = "train"
"""The split that runs are trained on."""


def open_split(
    dataset: OpenDataset, split: str, cache: str | None, manifest: str | None = None
) -> BatchSource:
    """Opens all records of a split in their order."""
    return open_batches(_asked(dataset, split, cache, manifest))


def _asked(
    dataset: OpenDataset, split: str, cache: str | None, manifest: str | None = None
) -> SourceArguments:
    return SourceArguments(
        dataset, split, BATCH_SIZE, shuffle=False, cache=cache, manifest=manifest
    )


def judge_all(
    run: RunFolder,
    folds: Sequence[RunFolder],
    dataset: OpenDataset,
    cache: str | None,
) -> Judgement:
    """Judges every record: those of a fold by the fold's run, all others by the run.

    Args:
        run: The run; its best weights judge.
        folds: The runs of all folds, in their order; none: the run judges all.
        dataset: The records, of the run's outputs; with folds, the run's own dataset.
        cache: As in `train.SourceOptions`.

    Raises:
        FormatError: A model cannot be read.
        RecordError: A record is damaged.
    """
    # TensorFlow warns of a graph for each network, which is what folds need.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    model, calibration, parts = run.load_model(), read_calibration(run), []
    splits = list(dataset.info.splits)
    for number, split in enumerate(splits):
        if dataset.info.num_records(split) and not (folds and split == TRAINED_ON):
            source = open_split(dataset, split, cache)
            records = np.arange(source.reader.num_records)
            scales = scales_for(run, calibration, dataset.info.dataset_id, split)
            parts.append(_judge(model, source, number, records, 0, scales))
    for index, one in enumerate(folds):
        choose = Fold(index, len(folds)).members
        members = choose(dataset.info.num_records(TRAINED_ON))
        if len(members):
            source = open_batches(_asked(dataset, TRAINED_ON, cache), choose)
            number = splits.index(TRAINED_ON)
            model, scales = one.load_model(), read_calibration(one).scales()
            parts.append(_judge(model, source, number, members, index + 1, scales))
    return Judgement.join(parts)


def _judge(
    model: keras.Model,
    source: BatchSource,
    split: int,
    records: Array,
    fold: int,
    scales: Sequence[Scale],
) -> Judgement:
    """Judges all records of a source.

    Args:
        model: Predicts {output name: logits}.
        source: The records, unshuffled.
        split: Number of their split.
        records: Their numbers in it, int64, shape (records,).
        fold: The fold whose run it is of, from 1; 0: of the run itself.
        scales: Calibrate its confidences; see `Calibration.scales`.
    """
    found = [
        look_at_batch(model, source, step, scales, _believe) for step in range(source.num_steps)
    ]
    labels, readings, beliefs, confidences = map(np.concatenate, zip(*found, strict=True))
    powers = np.array([scale.power for scale in scales] or [1.0])
    return Judgement(
        split=np.full(len(records), split),
        record=records,
        row=source.reader.rows(np.arange(len(records))),
        labels=labels,
        readings=readings,
        beliefs=beliefs,
        confidences=confidences,
        power=powers[np.arange(len(records)) % len(powers)],
        fold=np.full(len(records), fold),
    )


def _believe(logits: Array, labels: Array, *temperatures: Array) -> tuple[Array, ...]:
    """Returns the likeliest classes, and the probabilities of the labels and of these.

    Args:
        logits: float32, shape (batch, classes).
        labels: int32, shape (batch,).
        temperatures: Calibrate them, float32, shape (batch,). None: nothing does.
    """
    readings = logits.argmax(axis=1).astype(np.int32)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))  # over the peak: no overflow
    probabilities = calibrated(powers, temperatures[0][:, None] if temperatures else 1.0)
    rows = np.arange(len(logits))
    return readings, probabilities[rows, labels], probabilities[rows, readings]
