"""The loss, and how right a model is: by character, by output and by whole label.

Two sides that must agree: `Recogniser` counts inside `fit` and `evaluate` with keras.ops, the
functions count the arrays of a finished evaluation with NumPy. All accuracies are fractions in
[0, 1]. A blank is the class that stands for "no character here" in a padded text.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

Indices = npt.NDArray[np.integer[Any]]

NO_BLANK = -1  # of an output whose every class is a character; no class has this index


@keras.saving.register_keras_serializable(package="shardfeed")
class SparseCrossentropy(keras.losses.Loss):
    """Softmax cross-entropy of class indices, with label smoothing and without one-hot labels.

    Equals `CategoricalCrossentropy(from_logits=True, label_smoothing=...)` of one-hot labels:
    -(1 - label_smoothing) * log p_y - label_smoothing * mean_k log p_k. One-hot labels of
    4 x 21,000 classes would be 27 times as large as the image.

    Args:
        label_smoothing: Share of the target that is spread evenly over all classes. In [0, 1).
        name: Of the loss.
        reduction: As in `keras.losses.Loss`.
        dtype: As in `keras.losses.Loss`: what labels and logits are cast to, by default float32,
            which holds class indices below 2 ** 24 exactly.

    Raises:
        ValueError: `label_smoothing` is out of its range.
    """

    def __init__(
        self,
        label_smoothing: float = 0.0,
        name: str = "sparse_crossentropy",
        reduction: str | None = "sum_over_batch_size",
        dtype: str | None = None,
    ) -> None:
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"`label_smoothing` must be in [0, 1), got {label_smoothing}.")
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.label_smoothing = label_smoothing

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Returns the loss of each record.

        Args:
            y_true: Class indices in [0, classes), shape (batch,).
            y_pred: Logits, floats, shape (batch, classes).

        Returns:
            Floats of the dtype of `y_pred`, shape (batch,).
        """
        hard = ops.sparse_categorical_crossentropy(
            ops.cast(y_true, "int32"), y_pred, from_logits=True
        )
        if not self.label_smoothing:
            return hard
        spread = ops.logsumexp(y_pred, axis=-1) - ops.mean(y_pred, axis=-1)
        return (1 - self.label_smoothing) * hard + self.label_smoothing * spread

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments that rebuild this loss."""
        return {**super().get_config(), "label_smoothing": self.label_smoothing}


class Recogniser(keras.Model):
    """A functional model whose logs carry `character_accuracy` and `exact`.

    `loss` is the mean over the outputs, not Keras' sum, so that learning rates, clipping and
    curves mean the same for any number of characters. Labels and logits are dicts by output name.

    Args:
        inputs: The functional model's inputs.
        outputs: Its outputs, {output name: logits}, shape (batch, classes) each.
        blanks: {output name: index of its blank class, or None}; without it no class is blank.
        name: Of the model.

    Raises:
        ValueError: `outputs` is not a dict, or `blanks` names an output that there is not.
    """

    def __init__(
        self,
        inputs: Any,
        outputs: dict[str, Any],
        *,
        blanks: Mapping[str, int | None] | None = None,
        name: str | None = None,
    ) -> None:
        if not isinstance(outputs, dict):
            raise ValueError(f"`outputs` must be a dict by output name, got {type(outputs)}.")
        blanks = blanks or {}
        unknown = sorted(set(blanks) - set(outputs))
        if unknown:
            raise ValueError(f"`blanks` names outputs {unknown}, the model has {list(outputs)}.")
        super().__init__(inputs, outputs, name=name)
        self._blanks = [_blank_index(blanks.get(output)) for output in outputs]
        self._order = list(outputs)
        self._character_accuracy = keras.metrics.Mean(name="character_accuracy")
        self._exact = keras.metrics.Mean(name="exact")

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Returns the mean over the outputs of their losses, a float32 scalar."""
        total = super().compute_loss(x, y, y_pred, sample_weight, training)
        return total / len(self._order)

    def compute_metrics(
        self, x: Any, y: dict[str, Any], y_pred: dict[str, Any], sample_weight: Any = None
    ) -> dict[str, Any]:
        """Adds a batch to the totals and returns all metrics so far.

        Args:
            x: Images; not looked at.
            y: {output name: int32, shape (batch,)}.
            y_pred: {output name: logits, shape (batch, classes)}.
            sample_weight: Only for metrics given to `compile`; these two count every record once.

        Returns:
            The logs: {metric name: float32 scalar}.
        """
        labels = ops.stack([ops.cast(y[name], "int32") for name in self._order], axis=1)
        classes = ops.stack(
            [ops.cast(ops.argmax(y_pred[name], axis=-1), "int32") for name in self._order], axis=1
        )
        blanks = ops.convert_to_tensor([self._blanks], dtype="int32")
        right = ops.equal(labels, classes)
        blank = ops.logical_and(right, ops.equal(labels, blanks))
        counted = ops.cast(ops.logical_not(blank), "float32")
        self._character_accuracy.update_state(ops.cast(right, "float32"), counted)
        self._exact.update_state(ops.cast(ops.all(right, axis=1), "float32"))
        return super().compute_metrics(x, y, y_pred, sample_weight)


def plain(model: keras.Model) -> keras.Model:
    """Returns the same graph and weights as a model that Keras alone can load from its file.

    Args:
        model: A functional model, for instance a `Recogniser`; shares its variables.

    Returns:
        A `keras.Model` with the output names of `model`, not compiled.
    """
    return keras.Model(model.input, model.output, name=model.name)


def exact_match(labels: Indices, predictions: Indices) -> float:
    """Returns the fraction of records with every position right; blanks count like characters.

    Args:
        labels: Integers, shape (records, outputs).
        predictions: Integers, shape (records, outputs).

    Raises:
        ValueError: The shapes differ or there are no records.
    """
    return float(_right(labels, predictions).all(axis=1).mean())


def character_accuracy(
    labels: Indices, predictions: Indices, blanks: Sequence[int | None]
) -> float:
    """Returns the fraction of positions that are right, over all outputs.

    Args:
        labels: Integers, shape (records, outputs).
        predictions: Integers, shape (records, outputs).
        blanks: For each output the index of its blank class, or None. Positions that are blank in
            both label and prediction are left out.

    Returns:
        In [0, 1]; 0.0 where no position is left, as Keras has it.

    Raises:
        ValueError: The shapes differ, there are no records, or not one blank per output.
    """
    right = _right(labels, predictions)
    if len(blanks) != labels.shape[1]:
        raise ValueError(f"Expected {labels.shape[1]} blanks, one per output, got {len(blanks)}.")
    indices = np.array([_blank_index(blank) for blank in blanks])
    counted = ~(right & (labels == indices))
    return float((right & counted).sum() / max(counted.sum(), 1))


def per_output_accuracy(labels: Indices, predictions: Indices) -> npt.NDArray[np.float64]:
    """Returns for each output the fraction of records that it has right; blanks count.

    Args:
        labels: Integers, shape (records, outputs).
        predictions: Integers, shape (records, outputs).

    Returns:
        float64, shape (outputs,).

    Raises:
        ValueError: The shapes differ or there are no records.
    """
    accuracy: npt.NDArray[np.float64] = _right(labels, predictions).mean(axis=0)
    return accuracy


def _right(labels: Indices, predictions: Indices) -> npt.NDArray[np.bool_]:
    """Returns where label and prediction agree: bool, shape (records, outputs)."""
    if labels.shape != predictions.shape or labels.ndim != 2 or not labels.size:
        raise ValueError(
            "`labels` and `predictions` must both have shape (records, outputs) with at least one "
            f"record, got {labels.shape} and {predictions.shape}."
        )
    return np.equal(labels, predictions)


def _blank_index(blank: int | None) -> int:
    return NO_BLANK if blank is None else blank
