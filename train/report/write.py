"""Writing a run's report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from convert.storage.local import write_file
from train.evaluation.evaluate import evaluate_source
from train.evaluation.parts import Part
from train.evaluation.predictions import Evaluation
from train.evaluation.seen_images import write_seen
from train.records.batches import BatchSource
from train.records.count_classes import count_classes
from train.records.reading.reader import RecordReader
from train.records.texts import blanks_of
from train.report.content import gather, read_validation
from train.report.page import page
from train.runs.class_counts_file import write_class_counts
from train.runs.folder import REPORT, RunFolder
from train.runs.history import Row

if TYPE_CHECKING:
    import keras


def write_report(
    run: RunFolder,
    model: keras.Model,
    best: Row,
    training: RecordReader,
    validation: BatchSource | None,
    evaluation: Evaluation | None = None,
    parts: Sequence[Part] = (),
) -> None:
    """Writes class_counts.json, training_images.npy and report.html into a run's folder.

    Args:
        run: The run; it has at least one epoch.
        model: Its network; only its variables are counted.
        best: The history's row of the epoch whose weights are kept.
        training: The records of its training split.
        validation: Its validation split, unshuffled, or None.
        evaluation: What the best weights read in it. None: they are loaded, and read it.
        parts: Its parts, where it is that of several datasets.

    Raises:
        FormatError: The run cannot be read.
        RecordError: A record is damaged.
        TryAgainError: The disk is full or damaged.
    """
    info = run.dataset_info()
    counts = count_classes(training, info)
    write_class_counts(run, counts)
    write_seen(run, training)
    read = None
    if validation is not None:
        if evaluation is None:
            evaluation = evaluate_source(run.load_model(), validation, blanks_of(info))
        read = read_validation(validation, evaluation, run.config().get("seed", 0), parts)
    text = page(gather(run, model, best, counts, read))
    with run.writing(REPORT):
        write_file(run.file(REPORT), text)
