"""The moving average of a model's weights, `--ema`: how each step moves it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

# After t steps the momentum is at most (1 + t) / (10 + t), as in TensorFlow's
# ExponentialMovingAverage. So a short run averages about its last tenth, and the first weights
# are soon forgotten.
_WARMUP_STEPS = 10


def pair_weights(average: keras.Model | None, model: keras.Model) -> list[tuple[Any, Any]]:
    """Returns each weight of an averaged model with the one that it follows; none without one."""
    if average is None:
        return []
    return list(zip(average.weights, model.weights, strict=True))


def move_average(pairs: Sequence[tuple[Any, Any]], steps: Any, ema: float) -> None:
    """Moves averaged weights towards those that they follow, after a step of training.

    Args:
        pairs: Of each average and its weight, Keras variables of one shape.
        steps: An int32 scalar variable: the steps so far; one is added.
        ema: The momentum, lower in the first steps. In [0, 1).
    """
    step = ops.cast(steps, "float32")
    steps.assign_add(1)
    momentum = ops.minimum(ema, (1 + step) / (_WARMUP_STEPS + step))
    for averaged, current in pairs:
        averaged.assign(averaged + (1 - momentum) * (current - averaged))
