"""Fits a calibration to a validation split, in two passes over its records.

The first adds up the cross-entropy at each of a grid of temperatures, so that 4 x 21,000 logits of
a record need not be kept; the second reads each half of the split with what the other half gave.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from train.evaluation.calibration import (
    GREATEST_POWER,
    GREATEST_TEMPERATURE,
    LEAST_POWER,
    LEAST_TEMPERATURE,
    Calibration,
    Scale,
)
from train.evaluation.calibration_file import write_calibration
from train.evaluation.evaluate import evaluate_source, in_chunks
from train.evaluation.predictions import Evaluation
from train.records.batches import BatchSource
from train.records.texts import blanks_of
from train.runs.folder import RunFolder

if TYPE_CHECKING:
    import keras

Floats = np.ndarray[Any, np.dtype[np.float64]]

MIN_RECORDS = 20
"""Of captcha_images_v2, 20 records take the calibration error of labels from 30 to 5 %."""

_MIN_MISREAD = 10  # labels of a half: fewer say nothing of how mistakes come together
_MOST_RECORDS = 20_000  # for a temperature: more do not change its third digit
_GRID = np.geomspace(LEAST_TEMPERATURE, GREATEST_TEMPERATURE, 33)
_POWERS = np.geomspace(LEAST_POWER, GREATEST_POWER, 201)
_SURE = 1e-12  # the nearest to 0 and 1 whose logarithms are taken


def calibrate_run(
    run: RunFolder, validation: BatchSource | None, parts: Sequence[int] = ()
) -> tuple[Calibration, Evaluation | None]:
    """Fits the calibration of a run's best weights and adds it to best.keras.

    Args:
        run: The run; it has at least one epoch.
        validation: Its validation split, unshuffled, or None.
        parts: Records of each dataset in it, where it is that of several.

    Returns:
        The calibration, and what the weights read in the split if it was fitted.

    Raises:
        FormatError: The run cannot be read.
        RecordError: A record is damaged.
        TryAgainError: The disk is full or damaged.
    """
    records = validation.order.num_records if validation else 0
    evaluation = None
    if validation is None:
        calibration = Calibration(records=0, reason="the run has no validation split")
    elif run.config().get("overfit") is not None:
        reason = "with --overfit it was trained on the records that it is validated on"
        calibration = Calibration(records=records, reason=reason)
    elif records < MIN_RECORDS:
        reason = f"the validation split has {records} records, and it takes {MIN_RECORDS}"
        calibration = Calibration(records=records, reason=reason)
    else:
        calibration, evaluation = fit_calibration(
            run.load_model(), validation, blanks_of(run.dataset_info())
        )
        calibration = replace(calibration, parts=tuple(parts))
    write_calibration(run, calibration)
    return calibration, evaluation


def fit_calibration(
    model: keras.Model,
    source: BatchSource,
    blanks: Sequence[int | None],
    on_batch: Callable[[], None] = lambda: None,
) -> tuple[Calibration, Evaluation]:
    """Fits temperatures to a split, and reads it with them.

    Args:
        model: Predicts {output name: logits}.
        source: The records, unshuffled; `MIN_RECORDS` at least, none of which it was trained on.
        blanks: Index of each output's blank class, or None.
        on_batch: Called after each batch; what it raises ends the fit.

    Returns:
        The calibration, and the predictions; each half has the temperatures of the other.
    """
    entropies, smoothed = _losses(model, source, on_batch)
    apart = all(
        _held_out(smoothed[1 - half], entropies[half], apart=True)
        < _held_out(smoothed[1 - half], entropies[half], apart=False)
        for half in range(2)
    )
    of_even, of_odd, of_all = (
        _temperatures(one, apart) for one in (smoothed[1], smoothed[0], smoothed.sum(axis=0))
    )
    halves = [Scale(temperatures=of_even), Scale(temperatures=of_odd)]
    evaluation = evaluate_source(model, source, blanks, on_batch, halves)
    powers = _fit_powers(evaluation)
    halves = [replace(one, power=power) for one, power in zip(halves, powers[:2], strict=True)]
    evaluation = replace(evaluation, powers=powers[:2])
    calibration = Calibration(
        records=len(evaluation.labels),
        scale=Scale(temperatures=of_all, power=powers[2]),
        halves=halves,
        evidence=evaluation.evidence(),
    )
    return calibration, evaluation


def _losses(
    model: keras.Model, source: BatchSource, on_batch: Callable[[], None]
) -> tuple[Floats, Floats]:
    """Runs the model once, and adds up what it costs at each temperature.

    Where a split is read without a mistake, the best temperature would be 0. So targets are those
    of Platt: Probabilistic Outputs for Support Vector Machines, 1999: of n positions a share of
    1 / (n + 2) more is taken for wrong, as if it had been the second likeliest class.

    Returns:
        The cross-entropies and the same with these targets, each of shape (2, outputs,
        temperatures): of the records of even and of odd numbers.
    """
    stride = -(-source.num_steps * source.batch_size // _MOST_RECORDS)
    sums = np.zeros((2, len(source.output_names), len(_GRID) + 1))
    positions = 0
    for step in range(0, source.num_steps, stride):
        images, *labels = source.batch(0, step)
        logits = model.predict_on_batch(images)
        for i, name in enumerate(source.output_names):
            (costs,) = in_chunks(_costs, np.asarray(logits[name]), labels[i])
            sums[:, i] += costs[::2].sum(axis=0), costs[1::2].sum(axis=0)
            positions += len(costs)
        on_batch()
    entropies, leads = sums[..., :-1], sums[..., -1:]
    return entropies, entropies + leads / _GRID / (positions + 2)


def _costs(logits: Any, labels: Any) -> tuple[Any, ...]:
    """Returns what records cost at each temperature, and the lead of what was read rightly.

    Args:
        logits: float32, shape (batch, classes).
        labels: int32, shape (batch,).

    Returns:
        float64, shape (batch, temperatures + 1); the last is the distance between the two greatest
        logits, or 0 where the greatest is not the label's.
    """
    rows = np.arange(len(logits))
    below = logits - logits.max(axis=1, keepdims=True)
    at_label = below[rows, labels]
    sums = [np.log(np.exp(below / np.float32(t)).sum(axis=1)) for t in _GRID]
    entropies = np.stack(sums, axis=1) - at_label[:, None] / _GRID
    second = np.partition(below, -2, axis=1)[:, -2] if below.shape[1] > 1 else at_label
    return (np.column_stack([entropies, np.where(at_label == 0, -second, 0)]),)


def _held_out(fitted: Floats, judged: Floats, *, apart: bool) -> float:
    """Returns what a half costs with the best temperatures of the other.

    Args:
        fitted: Losses of the half that chooses, shape (outputs, temperatures).
        judged: Those of the half that is judged.
        apart: Whether each output has a temperature of its own.
    """
    losses = fitted if apart else fitted.sum(axis=0, keepdims=True)
    best = np.broadcast_to(losses.argmin(axis=1), len(judged))
    return float(judged[np.arange(len(best)), best].sum())


def _temperatures(losses: Floats, apart: bool) -> list[float]:
    """Returns the temperature of each output, the same for all unless they are apart."""
    if apart:
        return [_least(row) for row in losses]
    return [_least(losses.sum(axis=0))] * len(losses)


def _least(losses: Floats) -> float:
    """Returns the temperature of the least loss, by a parabola between those of the grid."""
    best = int(losses.argmin())
    logs, offset = np.log(_GRID), 0.0
    if 0 < best < len(_GRID) - 1:
        left, middle, right = losses[best - 1 : best + 2]
        bend = left - 2 * middle + right
        offset = 0.5 * (left - right) / bend if bend > 0 else 0.0
    return float(round(np.exp(logs[best] + offset * (logs[1] - logs[0])), 4))


def _fit_powers(evaluation: Evaluation) -> tuple[float, float, float]:
    """Returns the powers of labels of even and of odd records, and that of all others.

    The first two are fitted on the other half each. All are 1 unless that helps both halves, and
    in both enough labels are misread.
    """
    logs = np.log(np.clip(evaluation.label_confidences, _SURE, 1 - _SURE))
    right = evaluation.exact_records()
    pairs = [(logs[half::2], right[half::2]) for half in range(2)]
    if min(int((~good).sum()) for _, good in pairs) < _MIN_MISREAD:
        return 1.0, 1.0, 1.0
    powers = [_fit_power(*pairs[1]), _fit_power(*pairs[0])]
    for (some, good), power in zip(pairs, powers, strict=True):
        if _label_loss(some, good, np.array([power])) >= _label_loss(some, good, np.ones(1)):
            return 1.0, 1.0, 1.0
    return powers[0], powers[1], _fit_power(logs, right)


def _fit_power(logs: Floats, right: Any) -> float:
    """Returns the power of confidences that makes it likeliest what was right, smoothed as above.

    Args:
        logs: Logarithms of the products of confidences, shape (records,).
        right: Which labels are right, of the same shape.
    """
    good = int(right.sum())
    bad = len(right) - good
    targets = np.where(right, (good + 1) / (good + 2), 1 / (bad + 2))
    return float(round(_POWERS[_label_loss(logs, targets, _POWERS).argmin()], 4))


def _label_loss(logs: Floats, targets: Any, powers: Floats) -> Floats:
    """Returns the cross-entropy of whole labels for each power, shape (powers,)."""
    scaled = logs * powers[:, None]
    wrong = np.log(-np.expm1(scaled))
    return -(targets * scaled + (1 - targets) * wrong).sum(axis=1)
