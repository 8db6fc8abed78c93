"""The user's own network: `--model module:function`."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

import keras

from train.errors import UsageError

Builder = Callable[..., keras.Model]


def import_builder(name: str) -> Builder:
    """Imports a function that builds models; modules in the current folder are found.

    Args:
        name: `module:function`.

    Raises:
        UsageError: There is no such module or function, or the module cannot be imported.
    """
    module_name, _, function_name = name.partition(":")
    here = os.getcwd()
    if here not in sys.path:  # as with `python -m`; the console script does not look here
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # it is the user's code: anything can happen
        raise UsageError(
            f"--model {name}: module {module_name!r} cannot be imported: "
            f"{type(error).__name__}: {error}"
        ) from error
    builder = getattr(module, function_name, None)
    if not callable(builder):
        raise UsageError(
            f"--model {name}: {module_name} has no function {function_name!r}. "
            "Write it as module:function."
        )
    return builder


def build_custom(
    name: str, image_shape: tuple[int, int, int], outputs: Mapping[str, int], seed: int
) -> keras.Model:
    """Calls the user's function: `build(image_shape, outputs, seed=seed)`.

    Args:
        name: `module:function`.
        image_shape: (height, width, channels).
        outputs: {output name: number of classes}.
        seed: Of the first weights and of dropout.

    Returns:
        What the function returns, of which all that training relies on has been checked: a
        functional model from one batch of images to {output name: logits}.

    Raises:
        UsageError: It cannot be imported, fails, or returns something else.
    """
    builder = import_builder(name)
    try:
        model = builder(image_shape, dict(outputs), seed=seed)
    except Exception as error:
        raise UsageError(
            f"--model {name}: failed when called with (image_shape, outputs, seed=seed): "
            f"{type(error).__name__}: {error}"
        ) from error
    problem = _problem(model, image_shape, outputs)
    if problem:
        raise UsageError(f"--model {name}: {problem}")
    return keras.Model(model.input, {output: model.output[output] for output in outputs})


def _problem(model: Any, image_shape: tuple[int, int, int], outputs: Mapping[str, int]) -> str:
    """Describes an error of a user's model; empty if there is none."""
    if not isinstance(model, keras.Model) or not hasattr(model, "output"):
        return f"must return a functional keras.Model, got {type(model).__name__}."
    if isinstance(model.input, list | dict) or tuple(model.input.shape[1:]) != image_shape:
        return f"its one input must have shape {image_shape}, got {model.input_shape}."
    if not isinstance(model.output, dict) or set(model.output) != set(outputs):
        return f"its output must be a dict with the keys {', '.join(outputs)}."
    for output, classes in outputs.items():
        shape, dtype = model.output[output].shape, model.output[output].dtype
        if tuple(shape[1:]) != (classes,) or dtype != "float32":
            return (
                f"output {output!r} must be float32 logits of shape (batch, {classes}), "
                f"got {dtype} of shape {tuple(shape)}."
            )
    return ""
