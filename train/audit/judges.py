"""Lets models judge the records of a dataset."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from convert.dataset.read import OpenDataset
from train.audit.judgement import Judgement
from train.evaluation.evaluate import BATCH_SIZE, read_logits
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
    parts, model = [], run.load_model()
    splits = list(dataset.info.splits)
    for number, split in enumerate(splits):
        if dataset.info.num_records(split) and not (folds and split == TRAINED_ON):
            source = open_split(dataset, split, cache)
            records = np.arange(source.reader.num_records)
            parts.append(_judge(model, source, number, records, 0))
    for index, one in enumerate(folds):
        choose = Fold(index, len(folds)).members
        members = choose(dataset.info.num_records(TRAINED_ON))
        if len(members):
            source = open_batches(_asked(dataset, TRAINED_ON, cache), choose)
            number = splits.index(TRAINED_ON)
            parts.append(_judge(one.load_model(), source, number, members, index + 1))
    return Judgement.join(parts)


def _judge(
    model: keras.Model, source: BatchSource, split: int, records: Array, fold: int
) -> Judgement:
    """Judges all records of a source.

    Args:
        model: Predicts {output name: logits}.
        source: The records, unshuffled.
        split: Number of their split.
        records: Their numbers in it, int64, shape (records,).
        fold: The fold whose run the model is of, from 1; 0: of the run itself.
    """
    found = [_read(model, source, step) for step in range(source.num_steps)]
    labels, readings, beliefs, confidences = map(np.concatenate, zip(*found, strict=True))
    return Judgement(
        split=np.full(len(records), split),
        record=records,
        row=source.reader.rows(np.arange(len(records))),
        labels=labels,
        readings=readings,
        beliefs=beliefs,
        confidences=confidences,
        fold=np.full(len(records), fold),
    )


def _read(model: keras.Model, source: BatchSource, step: int) -> tuple[Array, ...]:
    """Returns labels, readings and the probabilities of both, each of shape (batch, outputs)."""
    images, *columns = source.batch(0, step)
    logits = model.predict_on_batch(images)
    results = [
        read_logits(np.asarray(logits[name]), labels)
        for name, labels in zip(source.output_names, columns, strict=True)
    ]
    readings, confidences, losses = (np.stack(r, axis=1) for r in zip(*results, strict=True))
    return np.stack(columns, axis=1), readings, np.exp(-losses), confidences
