"""The model while it is trained: what `fit` counts, and the average of its weights."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from train.model.device_augmentation.augment import augmented
from train.model.metrics import blank_index
from train.model.weight_average import WeightAverage


class Recogniser(keras.Model):
    """A functional model whose logs carry `character_accuracy` and `exact`.

    `loss` is the mean over the outputs, not Keras' sum, so that learning rates, clipping and
    curves mean the same for any number of characters. Labels and logits are dicts by output name.

    Args:
        inputs: The functional model's inputs.
        outputs: Its outputs, {output name: logits}, shape (batch, classes) each.
        blanks: {output name: index of its blank class, or None}; without it no class is blank.
        average: A model of the same weights, in any precision. Each step moves its weights, and
            the statistics of its normalisations, towards those of this model. None: there is none.
        ema: Momentum of that moving average. In [0, 1); lower in the first steps.
        name: Of the model.

    Attributes:
        average: The averaged model, or None; up to date where `inference_network` returned it.
        averaging: What moves it, or None.

    Raises:
        ValueError: `outputs` is not a dict, or `blanks` names an output that there is not.
    """

    def __init__(
        self,
        inputs: Any,
        outputs: dict[str, Any],
        *,
        blanks: Mapping[str, int | None] | None = None,
        average: keras.Model | None = None,
        ema: float = 0.0,
        name: str | None = None,
    ) -> None:
        if not isinstance(outputs, dict):
            raise ValueError(f"`outputs` must be a dict by output name, got {type(outputs)}.")
        blanks = blanks or {}
        unknown = sorted(set(blanks) - set(outputs))
        if unknown:
            raise ValueError(f"`blanks` names outputs {unknown}, the model has {list(outputs)}.")
        super().__init__(inputs, outputs, name=name)
        self._blanks = [blank_index(blanks.get(output)) for output in outputs]
        self._order = list(outputs)
        self._character_accuracy = keras.metrics.Mean(name="character_accuracy")
        self._exact = keras.metrics.Mean(name="exact")
        self.averaging: WeightAverage | None = None
        if average is not None:
            make = functools.partial(self.add_weight, initializer="zeros", trainable=False)
            self.averaging = WeightAverage(average, self, ema, make)
            for variable in average.trainable_variables:
                variable.trainable = False  # not its layers: whoever loads its file can train them
        self.average = average

    def train_step(self, *args: Any) -> Any:
        """Takes a step and moves the average; signature and result are those of the backend."""
        args = *args[:-1], augmented(args[-1])  # the last one is the batch
        if keras.backend.backend() != "jax":
            logs = super().train_step(*args)
            if self.averaging is not None:
                self.averaging.move()
            return logs
        # On JAX a step is a function from variables to variables.
        logs, (trainable, non_trainable, *rest) = super().train_step(*args)
        if self.averaging is None:
            return logs, (trainable, non_trainable, *rest)
        variables = [*self.trainable_variables, *self.non_trainable_variables]
        values = [*trainable, *non_trainable]
        with keras.StatelessScope(list(zip(variables, values, strict=True))) as scope:
            self.averaging.move()
        moved = [scope.get_current_value(variable) for variable in self.non_trainable_variables]
        return logs, (trainable, moved, *rest)

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


def inference_network(model: keras.Model) -> keras.Model:
    """Returns the network to validate, save and use: the averaged one, if there is an average.

    Args:
        model: While it is trained; its variables are up to date when this returns.
    """
    fetch_variables(model)
    if getattr(model, "averaging", None) is None:
        return plain(model)
    model.averaging.spread()
    return model.average


def fetch_variables(model: keras.Model) -> None:
    """Brings the variables of a model up to date: on JAX, amid training, they are elsewhere."""
    if keras.backend.backend() == "jax":
        model.jax_state_sync()


def num_parameters(model: keras.Model) -> int:
    """Returns how many numbers training changes."""
    return sum(math.prod(variable.shape) for variable in model.trainable_variables)
