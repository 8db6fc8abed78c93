"""The images that a run shows: what the network gets, and what it reads worst."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from convert.dataset.info import DatasetInfo
from train.evaluation.predictions import Evaluation
from train.records.batches import BatchSource
from train.records.texts import text_of
from train.training.board.picture import Bytes, image_summary, sheet
from train.training.board.text import table_summary

NUM_IMAGES = 16
WORST = "validation/worst_predictions"


def training_images(source: BatchSource, info: DatasetInfo) -> Iterator[Any]:
    """Yields a `Summary` of each of the first images of a run, just as the network gets them.

    The label is in the tag, since a browser finds fonts for it.

    Args:
        source: Batches to train on.
        info: Of the dataset.
    """
    images, *columns = source.batch(0, 0)
    labels = np.stack(columns, axis=1)[:NUM_IMAGES].tolist()
    for number, label in enumerate(labels):
        tag = f"training_images/{number + 1:02d} {text_of(label, info)}"
        yield image_summary(tag, images[number])


def worst_predictions(
    evaluation: Evaluation, source: BatchSource, info: DatasetInfo
) -> Iterator[Any]:
    """Yields a picture of the records with the largest losses, and a table of what was read.

    Args:
        evaluation: Of all records of the source, in its order.
        source: Where the records come from; not shuffled.
        info: Of the dataset.
    """
    worst = np.argsort(-evaluation.losses, kind="stable")[:NUM_IMAGES]
    records = np.concatenate([source.order.records(0, index, index + 1) for index in worst])
    images, _ = source.reader.gather(records)
    confidences = evaluation.label_confidences
    rows = [
        (
            number,
            text_of(evaluation.labels[index].tolist(), info),
            text_of(evaluation.predictions[index].tolist(), info),
            f"{confidences[index]:.1%}",
            f"{evaluation.losses[index]:.2f}",
            source_row,
        )
        for number, (index, source_row) in enumerate(
            zip(worst, source.reader.rows(records), strict=True), 1
        )
    ]
    yield image_summary(WORST, sheet(images, [_caption(*row[:4]) for row in rows]))
    header = ("no.", "true", "read as", "confidence", "loss", "row of the manifest")
    yield table_summary(WORST, header, rows)


def _caption(number: int, true: str, predicted: str, confidence: str) -> str:
    """Returns the line below an image: what Pillow has no glyphs for is only in the table."""
    texts = f"{true} > {predicted}  "
    return f"{number}  {texts if texts.isascii() else ''}{confidence}"


def fixed_images(source: BatchSource, count: int) -> Bytes:
    """Returns the first images of a split, not augmented: the same ones in each session.

    Args:
        source: Batches of the split.
        count: At most so many.

    Returns:
        uint8, shape (images, height, width, channels).
    """
    # Not through a batch: that would tell the reading ahead of another place than the next.
    count = min(count, source.batch_size, source.order.num_records)
    return source.reader.gather(source.order.records(0, 0, count))[0]
