"""Checks the type and range of values that were read from a file."""

from __future__ import annotations

import math
import types
from typing import Any, Literal, Union, get_args, get_origin

LARGEST = 1 << 53
"""No number of ours is larger, and every program reads whole numbers up to here exactly."""

_QUOTED = 40  # characters of a value that an error quotes


def is_whole(value: object, least: int = 0) -> bool:
    """Returns whether a value is a whole number from `least` to `LARGEST`."""
    return type(value) is int and least <= value <= LARGEST


def is_number(value: object) -> bool:
    """Returns whether a value is a number, be it infinite or NaN."""
    return type(value) is float or is_whole(value, -LARGEST)


def is_text(value: object) -> bool:
    """Returns whether a value is a text that can be a path."""
    return type(value) is str and "\0" not in value


def fits(value: object, hint: Any) -> bool:
    """Returns whether a value is of a type: a text, a finite number, a choice of these."""
    if get_origin(hint) in (Union, types.UnionType):
        return any(fits(value, choice) for choice in get_args(hint))
    if get_origin(hint) is Literal:
        return isinstance(value, str) and value in get_args(hint)
    if hint is int:
        return is_whole(value)
    if hint is float:
        return is_whole(value, -LARGEST) or (type(value) is float and math.isfinite(value))
    return is_text(value) if hint is str else type(value) is hint


def quoted(value: object) -> str:
    """Returns a value as an error can quote it."""
    is_plain = value is None or isinstance(value, (str, int, float))
    text = repr(value) if is_plain else f"a {type(value).__name__}"
    return text if len(text) <= _QUOTED else f"{text[:_QUOTED]}..."
