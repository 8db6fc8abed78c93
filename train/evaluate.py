"""How right a model is on a split: every record once, counted by ourselves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from convert.metadata import DatasetInfo
from convert.storage import read_dataset
from train.errors import UsageError
from train.folder import RunFolder
from train.loading import open_source
from train.metrics import character_accuracy, exact_match, per_output_accuracy
from train.source import BatchSource

if TYPE_CHECKING:
    import keras

Floats = np.ndarray[Any, np.dtype[Any]]
Indices = np.ndarray[Any, np.dtype[np.int32]]

BATCH_SIZE = 256  # throughput on a CPU does not grow beyond, memory does
_PAIRS = 10
_WORST = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    """A model's predictions for a split, record by record.

    Attributes:
        labels: True classes, int32, shape (records, outputs).
        predictions: Likeliest classes, int32, shape (records, outputs).
        confidences: Their probabilities, float32 in [0, 1], shape (records, outputs).
        losses: Cross-entropy of each record, mean over the outputs, in nats, shape (records,).
        blanks: Index of each output's blank class, or None.
    """

    labels: Indices
    predictions: Indices
    confidences: Floats
    losses: Floats
    blanks: Sequence[int | None]

    @property
    def exact(self) -> float:
        """Share of records with every output right. In [0, 1]."""
        return exact_match(self.labels, self.predictions)

    @property
    def character_accuracy(self) -> float:
        """Share of outputs that are right, rightly predicted blanks left out. In [0, 1]."""
        return character_accuracy(self.labels, self.predictions, self.blanks)

    @property
    def output_accuracies(self) -> list[float]:
        """Share of records that are right, for each output. In [0, 1]."""
        return per_output_accuracy(self.labels, self.predictions).tolist()

    @property
    def loss(self) -> float:
        """Mean cross-entropy of an output, in nats."""
        return float(self.losses.mean())


def blanks_of(info: DatasetInfo) -> list[int | None]:
    """Returns the index of each output's blank class: the last, if its name is empty."""
    return [len(c) - 1 if c[-1] == "" else None for c in info.classes.values()]


def evaluate_source(
    model: keras.Model,
    source: BatchSource,
    blanks: Sequence[int | None],
    on_batch: Callable[[], None] = lambda: None,
) -> Evaluation:
    """Runs a model over every record of a source that drops none.

    Args:
        model: Predicts {output name: logits}.
        source: The records, unshuffled.
        blanks: Index of each output's blank class, or None.
        on_batch: Called after each batch; what it raises ends the evaluation.
    """
    parts = []
    for step in range(source.num_steps):
        parts.append(_evaluate_batch(model, source, step))
        on_batch()
    labels, predictions, confidences, losses = (np.concatenate(p) for p in zip(*parts, strict=True))
    return Evaluation(
        labels=labels,
        predictions=predictions,
        confidences=confidences,
        losses=losses,
        blanks=blanks,
    )


def _evaluate_batch(model: keras.Model, source: BatchSource, step: int) -> tuple[Floats, ...]:
    images, *columns = source.batch(0, step)
    labels = np.stack(columns, axis=1)
    logits = model.predict_on_batch(images)
    results = [
        read_logits(np.asarray(logits[name]), labels[:, i])
        for i, name in enumerate(source.output_names)
    ]
    classes, confidences, losses = (np.stack(r, axis=1) for r in zip(*results, strict=True))
    return labels, classes, confidences, losses.mean(axis=1)


def read_logits(logits: Floats, labels: Indices | None = None) -> tuple[Floats, Floats, Floats]:
    """Returns the likeliest class, its probability, and the label's cross-entropy.

    Args:
        logits: float32, shape (batch, classes).
        labels: int32, shape (batch,). None: the likeliest classes.

    Returns:
        int32, float32 in [0, 1], float32 in nats; each of shape (batch,).
    """
    classes = logits.argmax(axis=1).astype(np.int32)
    rows = np.arange(len(logits))
    peak = logits[rows, classes]
    log_sum = np.log(np.exp(logits - peak[:, None]).sum(axis=1))  # over the peak: no overflow
    at_label = logits[rows, classes if labels is None else labels]
    return classes, np.exp(-log_sum), log_sum + peak - at_label


def confused_pairs(evaluation: Evaluation, info: DatasetInfo) -> list[tuple[str, str, int]]:
    """Returns the commonest confusions: true class, predicted class, how often."""
    counts: Counter[tuple[str, str]] = Counter()
    for position, classes in enumerate(info.classes.values()):
        labels, predictions = evaluation.labels[:, position], evaluation.predictions[:, position]
        wrong = labels != predictions
        counts.update(
            (classes[true], classes[predicted])
            for true, predicted in zip(labels[wrong], predictions[wrong], strict=True)
        )
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [(true, predicted, number) for (true, predicted), number in ranked[:_PAIRS]]


def worst_records(evaluation: Evaluation) -> list[int]:
    """Returns the wrongly read records with the largest losses, the worst first."""
    wrong = (evaluation.labels != evaluation.predictions).any(axis=1)
    order = np.argsort(-evaluation.losses, kind="stable")
    found: list[int] = order[wrong[order]][:_WORST].tolist()
    return found


def text_of(classes: Sequence[int], info: DatasetInfo) -> str:
    """Returns a label as text; class names longer than a character get spaces between."""
    names = [vocabulary[i] for i, vocabulary in zip(classes, info.classes.values(), strict=True)]
    return ("" if all(len(name) <= 1 for name in names) else " ").join(names)


@dataclass(frozen=True, kw_only=True, slots=True)
class RunEvaluation:
    """An evaluation with what is needed to tell about it.

    Attributes:
        split: The split.
        info: The evaluated dataset.
        evaluation: The predictions.
        rows: Manifest rows of the worst records, the worst first.
    """

    split: str
    info: DatasetInfo
    evaluation: Evaluation
    rows: list[int]


def evaluate_run(
    run: RunFolder, dataset: str | None = None, split: str | None = None
) -> RunEvaluation:
    """Evaluates a run's best weights.

    Args:
        run: The run.
        dataset: Another dataset of the same outputs. None: the run's own.
        split: None: `test` if there is one, else `validation`.

    Raises:
        UsageError: The dataset does not fit the run, or has no such split.
        FormatError: The dataset or the model cannot be read.
    """
    path = dataset or run.config()["dataset"]
    info, trained = read_dataset(path), run.dataset_info()
    _require_fit(path, info, trained)
    split = split or next((name for name in ("test", "validation") if name in info.splits), None)
    if split is None:
        raise UsageError(
            f"{path}: neither `test` nor `validation`; the splits are {', '.join(info.splits)}. "
            "Name one with --split."
        )
    source = open_source(path, split, BATCH_SIZE, seed=0, shuffle=False)
    evaluation = evaluate_source(run.load_model(), source, blanks_of(info))
    rows = source.reader.rows(np.array(worst_records(evaluation), np.int64)).tolist()
    return RunEvaluation(split=split, info=info, evaluation=evaluation, rows=rows)


def _require_fit(path: str, info: DatasetInfo, trained: DatasetInfo) -> None:
    """Raises unless a dataset has the outputs, classes and image size of a run."""
    for what, ours, theirs in (
        ("image size", trained.image_shape, info.image_shape),
        ("outputs", list(trained.outputs), list(info.outputs)),
        ("classes", _sizes(trained), _sizes(info)),
    ):
        if ours != theirs:
            raise UsageError(f"{path}: its {what} {theirs} are not the run's {ours}.")
    if trained.classes != info.classes:
        raise UsageError(
            f"{path}: its classes are not those of the run. "
            "Convert with --vocabulary, so that both have the same."
        )


def _sizes(info: DatasetInfo) -> list[int]:
    return [len(classes) for classes in info.classes.values()]
