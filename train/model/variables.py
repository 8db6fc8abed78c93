"""All variables of a training as flat arrays, and back.

Keras' own state tree goes by paths, which count up with every model of a process
(`seed_generator_7`), and silently leaves out those that do not match. Here variables are known by
group and position, and everything must fit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from train.errors import CheckpointError
from train.model.recogniser import fetch_variables

Arrays = dict[str, np.ndarray[Any, Any]]

_GROUPS: dict[str, Callable[[keras.Model], Sequence[Any]]] = {
    "trainable": lambda model: model.trainable_variables,
    # Moving averages of BatchNorm and the seeds of dropout.
    "non_trainable": lambda model: model.non_trainable_variables,
    "optimizer": lambda model: model.optimizer.variables,
    "metrics": lambda model: model.metrics_variables,
}

WEIGHTS = ("trainable", "non_trainable", "optimizer")
"""The groups that may be restored before `fit`."""

METRICS = ("metrics",)
"""The group that `fit` clears before each epoch: to be restored when an epoch begins."""


def build_state(model: keras.Model) -> None:
    """Makes all variables of a compiled model, as the first step of training would.

    Args:
        model: From images to {output name: logits}.
    """
    model.optimizer.build(model.trainable_variables)
    images = np.zeros((1, *model.input.shape[1:]), np.uint8)
    labels = {name: np.zeros(1, np.int32) for name in model.output}
    logits = {name: np.zeros((1, x.shape[1]), np.float32) for name, x in model.output.items()}
    # The losses of the single outputs are tracked from the first call on.
    model.compute_loss(images, labels, logits, training=False)
    model.compute_metrics(images, labels, logits)
    model.reset_metrics()


def read_state(model: keras.Model) -> Arrays:
    """Returns a copy of all variables of a model that `build_state` has seen."""
    fetch_variables(model)
    return {
        f"{group}/{index}": np.array(keras.ops.convert_to_numpy(variable))
        for group, variables in _GROUPS.items()
        for index, variable in enumerate(variables(model))
    }


def require_state(model: keras.Model, arrays: Mapping[str, Any]) -> None:
    """Checks that arrays are all those of a model; sets nothing.

    Args:
        model: As `build_state` left it.
        arrays: What `read_state` returned, or the headers of what was stored of it.

    Raises:
        CheckpointError: They are of another model.
    """
    foreign = next((name for name in arrays if name.split("/")[0] not in _GROUPS), None)
    if foreign is not None:
        raise CheckpointError(
            f"the checkpoint has an array {foreign!r}, which no model has. Restore it from a copy, "
            "or start a new run."
        )
    for group in _GROUPS:
        _matched(model, arrays, group)


def write_state(model: keras.Model, arrays: Mapping[str, Any], groups: Sequence[str]) -> None:
    """Sets a model's variables.

    Args:
        model: As `build_state` left it.
        arrays: What `read_state` returned.
        groups: Which groups to set.

    Raises:
        CheckpointError: The arrays are not those of this model; nothing has been set.
    """
    pairs = [pair for group in groups for pair in _matched(model, arrays, group)]
    for variable, array in pairs:
        variable.assign(array)


def _matched(model: keras.Model, arrays: Mapping[str, Any], group: str) -> list[tuple[Any, Any]]:
    """Returns each variable of a group with its array."""
    variables = list(_GROUPS[group](model))
    stored = [arrays[name] for name in arrays if name.startswith(f"{group}/")]
    ours = [(tuple(variable.shape), str(variable.dtype)) for variable in variables]
    theirs = [(array.shape, str(array.dtype)) for array in stored]
    if ours != theirs:
        different = (i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b)
        index = next(different, min(len(ours), len(theirs)))
        raise CheckpointError(
            f"the checkpoint's {group.replace('_', '-')} variables are not those of this model: "
            f"number {index} is {_shown(theirs, index)}, expected {_shown(ours, index)}. Install "
            "the versions in the run's environment.json, or start a new run."
        )
    return list(zip(variables, stored, strict=True))


def _shown(variables: Sequence[tuple[tuple[int, ...], str]], index: int) -> str:
    if index >= len(variables):
        return f"missing (there are {len(variables)})"
    shape, dtype = variables[index]
    return f"{dtype} {list(shape)}"
