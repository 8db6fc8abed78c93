"""AdamW that updates all weights at once and remembers how large the gradients were."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from train.model.packing import Slice, pack


@keras.saving.register_keras_serializable(package="shardfeed")
class MeasuredAdamW(keras.optimizers.AdamW):
    """AdamW (Loshchilov and Hutter, 2019) over packed weights, with the last gradients' norms.

    The weights become the same as with Keras' own AdamW, which updates one after the other; on
    TensorFlow to the last bit. `amsgrad`, `clipnorm` and `clipvalue` are not supported.

    Attributes:
        gradient_norms: float32, shape (trainable variables,), in the order of the model's
            trainable variables: the Euclidean norm of each one's gradient at the last step,
            before it was clipped. 0 before the first step. There once the optimizer is built.
    """

    def build(self, variables: Sequence[Any]) -> None:
        """Makes the optimizer's variables."""
        if self.built:
            return
        if self.amsgrad or self.clipnorm or self.clipvalue:
            raise ValueError("`amsgrad`, `clipnorm` and `clipvalue` are not supported.")
        keras.optimizers.Optimizer.build(self, variables)  # not Adam's: it makes two for each
        self._before_moments = self.variables
        self._packs = pack(variables, self._use_weight_decay)
        self._moments = [
            [self.add_variable(one.shape, dtype=one.dtype, name=name) for one in self._packs]
            for name in ("momentum", "velocity")
        ]
        self.gradient_norms = self.add_variable(
            (len(variables),), initializer="zeros", dtype="float32", name="gradient_norms"
        )

    @property
    def slices(self) -> list[Slice]:
        """The variables as Keras' own AdamW has them, two for each weight, then the norms."""
        moments = {
            (index, moment): one
            for moment, wholes in enumerate(self._moments)
            for whole, pack in zip(wholes, self._packs, strict=True)
            for index, one in pack.slices(whole)
        }
        return [
            *map(Slice.whole, self._before_moments),
            *(moments[place] for place in sorted(moments)),
            Slice.whole(self.gradient_norms),
        ]

    def apply(self, grads: Sequence[Any], trainable_variables: Sequence[Any] | None = None) -> None:
        """Takes a step.

        Args:
            grads: A gradient for each variable that the optimizer was built with, or None where
                the loss does not depend on it.
            trainable_variables: These variables.
        """
        # TensorFlow's of an embedding are sparse.
        grads = [None if one is None else ops.convert_to_tensor(one) for one in grads]
        super().apply(grads, trainable_variables)
        if self.gradient_accumulation_steps:
            self._note_norms({i: _square(one) for i, one in enumerate(grads) if one is not None})

    def _note_norms(self, squares: dict[int, Any]) -> None:
        """Notes the norms of this step's gradients, from their squares by index."""
        zero = ops.zeros((), "float32")
        every = [squares.get(index, zero) for index in range(self.gradient_norms.shape[0])]
        self.gradient_norms.assign(ops.sqrt(ops.cast(ops.stack(every), "float32")))

    # Keras calls these three one after the other, with a gradient for each variable.

    def _clip_gradients(self, grads: Sequence[Any]) -> Sequence[Any]:
        return grads  # later, as a whole

    def _apply_weight_decay(self, variables: Sequence[Any]) -> None:
        """Does nothing: the update decays the weights, which it reads anyway."""

    def _backend_update_step(
        self, grads: Sequence[Any], trainable_variables: Sequence[Any], learning_rate: Any
    ) -> None:
        places = [self._get_variable_index(variable) for variable in trainable_variables]
        given = dict(zip(places, grads, strict=True))
        squares = {index: _square(one) for index, one in given.items()}
        if not self.gradient_accumulation_steps:
            self._note_norms(squares)
        scale = self._clipping(list(squares.values())) if self.global_clipnorm else None
        variables = self._trainable_variables
        every = [
            ops.zeros(variable.shape, variable.dtype) if index not in given else given[index]
            for index, variable in enumerate(variables)
        ]
        for one, momentum, velocity in zip(self._packs, *self._moments, strict=True):
            gradient, weights = one.join(every), one.join(variables)
            gradient = ops.cast(gradient if scale is None else gradient * scale, one.dtype)
            rate = ops.cast(learning_rate, one.dtype)
            if one.kind:
                weights = weights - weights * ops.cast(self.weight_decay, one.dtype) * rate
            weights = weights - self._change(gradient, momentum, velocity, rate)
            for index, value in zip(one.indices, one.split(weights), strict=True):
                if index in given:
                    variables[index].assign(value)

    def _clipping(self, squares: list[Any]) -> Any:
        """Returns by what gradients are multiplied; no number if one of them is not finite."""
        norm = ops.sqrt(ops.sum(ops.stack(squares)))
        scale = self.global_clipnorm * ops.minimum(1.0 / norm, 1.0 / self.global_clipnorm)
        return scale + (norm - norm)

    def _change(self, gradient: Any, momentum: Any, velocity: Any, rate: Any) -> Any:
        """Moves the moments and returns what is taken from the weights; all of one shape."""
        step = ops.cast(self.iterations + 1, gradient.dtype)
        powers = [ops.power(ops.cast(b, gradient.dtype), step) for b in (self.beta_1, self.beta_2)]
        alpha = rate * ops.sqrt(1 - powers[1]) / (1 - powers[0])
        mean = momentum + (gradient - momentum) * (1 - self.beta_1)
        momentum.assign(mean)
        square = velocity + (ops.square(gradient) - velocity) * (1 - self.beta_2)
        velocity.assign(square)
        return mean * alpha / (ops.sqrt(square) + self.epsilon)


def _square(gradient: Any) -> Any:
    """Returns the squared Euclidean norm."""
    return ops.sum(ops.square(gradient))
