"""AdamW that remembers how large the gradients were."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="shardfeed")
class MeasuredAdamW(keras.optimizers.AdamW):
    """AdamW (Loshchilov and Hutter, 2019) with the norms of the last step's gradients.

    They are kept, not used: the weights become the same as with Keras' own AdamW.

    Attributes:
        gradient_norms: float32, shape (trainable variables,), in the order of the model's
            trainable variables: the Euclidean norm of each one's gradient at the last step,
            before it was clipped. 0 before the first step. There once the optimizer is built.
    """

    def build(self, variables: Sequence[Any]) -> None:
        """Makes the optimizer's variables."""
        if self.built:
            return
        super().build(variables)
        self.gradient_norms = self.add_variable(
            (len(variables),), initializer="zeros", dtype="float32", name="gradient_norms"
        )

    def apply(self, grads: Sequence[Any], trainable_variables: Sequence[Any] | None = None) -> None:
        """Takes a step.

        Args:
            grads: A gradient for each variable that the optimizer was built with, or None where
                the loss does not depend on it.
            trainable_variables: These variables.
        """
        super().apply(grads, trainable_variables)
        self.gradient_norms.assign(ops.stack([_norm(gradient) for gradient in grads]))


def _norm(gradient: Any) -> Any:
    if gradient is None:
        return ops.zeros((), "float32")
    return ops.sqrt(ops.sum(ops.square(ops.cast(gradient, "float32"))))
