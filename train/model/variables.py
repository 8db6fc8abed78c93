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
from train.model.packing import Slice, read_slices, write_slices
from train.model.recogniser import fetch_variables

Arrays = dict[str, np.ndarray[Any, Any]]


def _non_trainable(model: keras.Model) -> list[Slice]:
    """The averaged weights, moving averages of BatchNorm, and the seeds of dropout."""
    averaging = getattr(model, "averaging", None)
    first = [] if averaging is None else averaging.slices
    known = {id(one) for one in (() if averaging is None else averaging.variables)}
    known |= {id(one.variable) for one in first}
    rest = [one for one in model.non_trainable_variables if id(one) not in known]
    return [*first, *map(Slice.whole, rest)]


def _optimizer(model: keras.Model) -> list[Slice]:
    optimizer = model.optimizer
    inner = getattr(optimizer, "inner_optimizer", optimizer)  # float16 is scaled by an outer one
    own = optimizer.variables[: len(optimizer.variables) - len(inner.variables)]
    theirs = getattr(inner, "slices", None) or map(Slice.whole, inner.variables)
    return [*map(Slice.whole, own), *theirs]


_GROUPS: dict[str, Callable[[keras.Model], Sequence[Slice]]] = {
    "trainable": lambda model: [Slice.whole(one) for one in model.trainable_variables],
    "non_trainable": _non_trainable,
    "optimizer": _optimizer,
    "metrics": lambda model: [Slice.whole(one) for one in model.metrics_variables],
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
        f"{group}/{index}": array
        for group, slices in _GROUPS.items()
        for index, array in enumerate(read_slices(slices(model)))
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
    write_slices([pair for group in groups for pair in _matched(model, arrays, group)])
    if "non_trainable" in groups and model.averaging is not None:
        model.averaging.spread(after_moves=False)


def _matched(model: keras.Model, arrays: Mapping[str, Any], group: str) -> list[tuple[Slice, Any]]:
    """Returns each slice of a group with its array."""
    slices = list(_GROUPS[group](model))
    stored = [arrays[name] for name in arrays if name.startswith(f"{group}/")]
    ours = [(one.shape, str(one.variable.dtype)) for one in slices]
    theirs = [(array.shape, str(array.dtype)) for array in stored]
    if ours != theirs:
        different = (i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b)
        index = next(different, min(len(ours), len(theirs)))
        raise CheckpointError(
            f"the checkpoint's {group.replace('_', '-')} variables are not those of this model: "
            f"number {index} is {_shown(theirs, index)}, expected {_shown(ours, index)}. Install "
            "the versions in the run's environment.json, or start a new run."
        )
    return list(zip(slices, stored, strict=True))


def _shown(variables: Sequence[tuple[tuple[int, ...], str]], index: int) -> str:
    if index >= len(variables):
        return f"missing (there are {len(variables)})"
    shape, dtype = variables[index]
    return f"{dtype} {list(shape)}"
