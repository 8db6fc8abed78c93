"""The loss: cross-entropy of class indices, smoothed and balanced without one-hot labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

Counts = np.ndarray[Any, np.dtype[np.int64]]


@keras.saving.register_keras_serializable(package="shardfeed")
class SparseCrossentropy(keras.losses.Loss):
    """Softmax cross-entropy of class indices, with label smoothing and without one-hot labels.

    Equals `CategoricalCrossentropy(from_logits=True, label_smoothing=...)` of one-hot labels:
    -(1 - label_smoothing) * log p_y - label_smoothing * mean_k log p_k. One-hot labels of
    4 x 21,000 classes would be 27 times as large as the image.

    Args:
        label_smoothing: Share of the target that is spread evenly over all classes. In [0, 1).
        offsets: What is added to each class's logit, floats, one for each class; see
            `balancing_offsets`. None: nothing.
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
        offsets: Sequence[float] | None = None,
        name: str = "sparse_crossentropy",
        reduction: str | None = "sum_over_batch_size",
        dtype: str | None = None,
    ) -> None:
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"`label_smoothing` must be in [0, 1), got {label_smoothing}.")
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.label_smoothing = label_smoothing
        self.offsets = None if offsets is None else [float(offset) for offset in offsets]

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Returns the loss of each record.

        Args:
            y_true: Class indices in [0, classes), shape (batch,).
            y_pred: Logits, floats, shape (batch, classes).

        Returns:
            Floats of the dtype of `y_pred`, shape (batch,).
        """
        if self.offsets is not None:
            y_pred = y_pred + ops.convert_to_tensor([self.offsets], dtype=y_pred.dtype)
        hard = ops.sparse_categorical_crossentropy(
            ops.cast(y_true, "int32"), y_pred, from_logits=True
        )
        if not self.label_smoothing:
            return hard
        spread = ops.logsumexp(y_pred, axis=-1) - ops.mean(y_pred, axis=-1)
        return (1 - self.label_smoothing) * hard + self.label_smoothing * spread

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments that rebuild this loss."""
        ours = {"label_smoothing": self.label_smoothing, "offsets": self.offsets}
        return {**super().get_config(), **ours}


def balancing_offsets(counts: Counts, strength: float) -> list[float]:
    """Returns the offsets of the logits in training, by which rare classes are learned, too.

    Logit adjustment (Menon et al., "Long-tail learning via logit adjustment", ICLR 2021): the
    model that minimises the loss of the shifted logits has, without the shift, logits as if each
    class were equally frequent. Nothing is drawn more often: an epoch has each record once.

    Args:
        counts: How often each class occurs in training, shape (classes,).
        strength: 0 changes nothing, 1 balances fully.

    Returns:
        strength * log(share of the class); a class that never occurs counts as half a record, so
        that its logit stays finite.
    """
    smoothed = np.maximum(counts, 0.5)
    offsets: list[float] = (strength * np.log(smoothed / smoothed.sum())).tolist()
    return offsets
