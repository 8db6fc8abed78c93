"""Measures a model on a split: every record once, counted by our own code."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from train.evaluation.calibration import Scale, calibrated
from train.evaluation.predictions import Evaluation, Floats, Indices
from train.evaluation.scores import ranks
from train.records.batches import BatchSource

if TYPE_CHECKING:
    import keras

BATCH_SIZE = 256  # throughput on a CPU does not grow beyond, memory does

# Logits that are looked at together, 1 MiB: what is made of them stays in a core's cache, which
# halves the time that 4 x 21,000 classes take.
_CHUNK_LOGITS = 1 << 18


def evaluate_source(
    model: keras.Model,
    source: BatchSource,
    blanks: Sequence[int | None],
    on_batch: Callable[[], None] = lambda: None,
    scales: Sequence[Scale] = (),
) -> Evaluation:
    """Runs a model over every record of a source that drops none.

    Args:
        model: Predicts {output name: logits}.
        source: The records, unshuffled.
        blanks: Index of each output's blank class, or None.
        on_batch: Called after each batch; what it raises ends the evaluation.
        scales: Calibrate the confidences; record i has number i modulo their count. None at all:
            confidences are the model's own.
    """
    parts = []
    for step in range(source.num_steps):
        parts.append(_evaluate_batch(model, source, step, scales))
        on_batch()
    return joined(parts, blanks, scales)


def joined(
    parts: Sequence[tuple[Floats, ...]],
    blanks: Sequence[int | None],
    scales: Sequence[Scale] = (),
) -> Evaluation:
    """Returns the evaluation of batches that follow each other.

    Args:
        parts: What `judge_batch` returned for each.
        blanks: Index of each output's blank class, or None.
        scales: As for `evaluate_source`.
    """
    labels, predictions, confidences, losses, before = map(np.concatenate, zip(*parts, strict=True))
    return Evaluation(
        labels=labels,
        predictions=predictions,
        confidences=confidences,
        ranks=before,
        losses=losses,
        blanks=blanks,
        powers=[scale.power for scale in scales] or [1.0],
    )


def _evaluate_batch(
    model: keras.Model, source: BatchSource, step: int, scales: Sequence[Scale]
) -> tuple[Floats, ...]:
    """Returns labels, classes, confidences, losses and ranks of a batch."""
    images, *columns = source.batch(0, step)
    return judge_batch(model.predict_on_batch(images), columns, source, step, scales)


def judge_batch(
    logits: Mapping[str, Floats],
    columns: Sequence[Indices],
    source: BatchSource,
    step: int,
    scales: Sequence[Scale] = (),
) -> tuple[Floats, ...]:
    """Returns labels, classes, confidences, losses and ranks of a batch; arguments as `_look`."""
    labels, classes, confidences, losses, before = _look(
        logits, columns, source, step, scales, _judge
    )
    return labels, classes, confidences, losses.mean(axis=1), before


def look_at_batch(
    model: keras.Model,
    source: BatchSource,
    step: int,
    scales: Sequence[Scale],
    look: Callable[..., tuple[Floats, ...]],
) -> tuple[Floats, ...]:
    """Returns the labels of a batch and what a function makes of its logits, and forgets these.

    Args:
        model: Predicts {output name: logits}.
        source: The records, unshuffled.
        step: Number of the batch.
        scales: As for `evaluate_source`.
        look: Takes an output's logits and labels and, if there are scales, the temperature of each
            record; returns arrays of shape (records,).

    Returns:
        Each of shape (batch, outputs).
    """
    images, *columns = source.batch(0, step)
    return _look(model.predict_on_batch(images), columns, source, step, scales, look)


def _look(
    logits: Mapping[str, Floats],
    columns: Sequence[Indices],
    source: BatchSource,
    step: int,
    scales: Sequence[Scale],
    look: Callable[..., tuple[Floats, ...]],
) -> tuple[Floats, ...]:
    """Returns what `look_at_batch` does, of logits {output name: (batch, classes)} and labels."""
    labels = np.stack(columns, axis=1)
    numbers = step * source.batch_size + np.arange(len(labels))
    temperatures = np.array([scale.temperatures for scale in scales], np.float32)
    results = [
        in_chunks(
            look,
            np.asarray(logits[name]),
            labels[:, i],
            *([temperatures[numbers % len(scales), i]] if scales else []),
        )
        for i, name in enumerate(source.output_names)
    ]
    return labels, *(np.stack(result, axis=1) for result in zip(*results, strict=True))


def _judge(logits: Floats, labels: Indices, *temperatures: Floats) -> tuple[Floats, ...]:
    """Returns the results of `read_logits`, and the ranks of the labels."""
    return *read_logits(logits, labels, *temperatures), ranks(logits, labels)


def in_chunks(
    look: Callable[..., tuple[Floats, ...]], logits: Floats, *others: Floats
) -> tuple[Floats, ...]:
    """Returns what a function makes of some records, a few of them at a time.

    Args:
        look: Takes arrays of as many records each, and returns some of the same length.
        logits: Its first, shape (batch, classes).
        others: Those that follow, of shape (batch,).
    """
    size = max(1, _CHUNK_LOGITS // logits.shape[1])
    parts = []
    for start in range(0, len(logits), size):
        chunk = slice(start, start + size)
        parts.append(look(logits[chunk], *(other[chunk] for other in others)))
    return tuple(map(np.concatenate, zip(*parts, strict=True)))


def read_logits(
    logits: Floats, labels: Indices | None = None, temperatures: Floats | None = None
) -> tuple[Floats, Floats, Floats]:
    """Returns the likeliest class, its confidence, and the label's cross-entropy.

    Args:
        logits: float32, shape (batch, classes).
        labels: int32, shape (batch,). None: the likeliest classes.
        temperatures: Calibrate the confidences, float32, shape (batch,); the cross-entropy stays
            what training measures. None: they are the model's probabilities.

    Returns:
        int32, float32 in [0, 1], float32 in nats; each of shape (batch,).
    """
    classes = logits.argmax(axis=1).astype(np.int32)
    rows = np.arange(len(logits))
    peak = logits[rows, classes]
    powers = np.exp(logits - peak[:, None])  # over the peak: no overflow
    log_sum = np.log(powers.sum(axis=1))
    at_label = logits[rows, classes if labels is None else labels]
    confidences = np.exp(-log_sum)
    if temperatures is not None:
        confidences = calibrated(powers, temperatures[:, None])[rows, classes]
    return classes, confidences, log_sum + peak - at_label
