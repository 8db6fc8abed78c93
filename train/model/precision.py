"""The number formats that a model computes in."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import keras

from train.config import Precision

_POLICIES = {"bfloat16": "mixed_bfloat16", "float16": "mixed_float16", "float32": "float32"}


def resolved_precision(precision: Precision) -> Precision:
    """Resolves `auto` to bfloat16 on an accelerator and float32 on a CPU.

    On CPUs 16-bit convolutions are no faster; bfloat16 has the range of float32, so that it needs
    no scaling of the loss.
    """
    if precision != "auto":
        return precision
    return "bfloat16" if on_accelerator() else "float32"


def on_accelerator() -> bool:
    """Returns whether Keras computes on anything else than a CPU."""
    return not all(device.startswith("cpu") for device in keras.distribution.list_devices())


@contextlib.contextmanager
def computing_in(precision: Precision) -> Iterator[None]:
    """Lets layers that are made inside compute in a precision; weights are float32 always.

    Args:
        precision: Not `auto`.
    """
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(_POLICIES[precision])
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
