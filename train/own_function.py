"""A function of the user's, named as `module:function` on the command line."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from typing import Any

from train.errors import UsageError


def import_function(flag: str, name: str) -> Callable[..., Any]:
    """Imports a function; modules in the current folder are found.

    Args:
        flag: That names it, for errors.
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
            f"{flag} {name}: module {module_name!r} cannot be imported: "
            f"{type(error).__name__}: {error}"
        ) from error
    function: Callable[..., Any] | None = getattr(module, function_name, None)
    if not callable(function):
        raise UsageError(
            f"{flag} {name}: {module_name} has no function {function_name!r}. "
            "Write it as module:function."
        )
    return function
