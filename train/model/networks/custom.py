"""The user's own network: `--model module:function`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from train.errors import UsageError
from train.own_function import import_function


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
    builder = import_function("--model", name)
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
