"""Names of outputs: what a network's outputs may be called."""

from __future__ import annotations

import re
from collections.abc import Collection

from convert.errors import UsageError

# What TensorFlow accepts as a name scope, less the slash, which Keras forbids.
_ALLOWED = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_.>-]*")

# The layers of the networks of `train`: a model may not have two of one name. A test builds them.
_LAYERS = re.compile(
    r"image|rescale|dropout|pace|classifier|(stem|block\d+|columns|pace|read|bottleneck)_.*"
)
_LAYERS_OF_OUTPUT = ("_features", "_position")


def name_problem(name: str, others: Collection[str]) -> str | None:
    """Returns why an output cannot have a name; None if it can.

    Args:
        name: The name.
        others: Names of all outputs.
    """
    if not _ALLOWED.fullmatch(name):
        return (
            "an output's name must be of ASCII letters, digits and _ . > -, and not begin "
            "with _ > or -"
        )
    of_another = any(name == other + end for other in others for end in _LAYERS_OF_OUTPUT)
    if of_another or _LAYERS.fullmatch(name):
        return "the networks of `train` have a layer of that name"
    return None


def check_output_names(path: str, names: Collection[str]) -> None:
    """Refuses label columns that `train` could not have as outputs.

    Args:
        path: The label file, for messages.
        names: Of the columns.

    Raises:
        UsageError: One is not allowed.
    """
    for name in names:
        problem = name_problem(name, names)
        if problem is not None:
            raise UsageError(
                f"{path}: the label column {name!r} cannot be an output: {problem}. "
                "Rename the column, as to y0."
            )
