"""Reads and checks JSON and CSV files of a run: they may be damaged, or come from a stranger."""

from __future__ import annotations

import csv
import functools
import io
import json
import math
import os
import types
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from convert.storage.places import read_text
from train.config import TrainConfig, renamed
from train.errors import FormatError

LARGEST = 1 << 53
"""No number of ours is larger, and every program reads whole numbers up to here exactly."""

_QUOTED = 40  # characters of a value that an error quotes

_MOST_HISTORY_BYTES = 1 << 26  # 300,000 epochs
_WHOLE_COLUMNS = ("epoch", "step")


def load_json(path: str) -> Any:
    """Reads a JSON file.

    Raises:
        OSError: It cannot be read, is no regular file, or is too large.
        ValueError: It is no JSON.
    """
    try:
        return json.loads(read_text(path))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def read_options(path: str, shown: str) -> dict[str, Any]:
    """Reads config.json.

    Args:
        path: The file.
        shown: What the user calls it.

    Raises:
        FormatError: It is missing or damaged.
    """
    remedy = "Restore it, or train again."
    return renamed(_read_object(path, _options_problem, f"{shown}: damaged", remedy))


def read_environment(path: str, shown: str) -> dict[str, Any]:
    """Reads environment.json; nothing is known if it is missing.

    Args:
        path: The file.
        shown: What the user calls it.

    Raises:
        FormatError: It is damaged.
    """
    if not os.path.lexists(path):
        return {}
    return _read_object(
        path, _environment_problem, f"{shown}: damaged", "Restore it, or remove it."
    )


def read_history(path: str, shown: str) -> list[dict[str, str]]:
    """Reads the rows of history.csv, all of whose values are numbers; none if it is missing.

    Args:
        path: The file.
        shown: What the user calls it.

    Raises:
        FormatError: It is damaged.
    """
    try:
        return _parse_history(read_text(path, _MOST_HISTORY_BYTES).decode())
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        problem = getattr(error, "strerror", None) or error
        raise FormatError(f"{shown}: damaged: {problem}. Restore it, or train again.") from error


def rows_problem(
    rows: object, hints: Mapping[str, type], is_other: Callable[[object], bool]
) -> str:
    """Describes an error in rows that were stored as JSON; empty if there is none.

    Args:
        rows: What was stored.
        hints: Types of columns that each row must have.
        is_other: Tells whether a value can stand in another column.
    """
    if not isinstance(rows, list):
        return "is no list"
    for number, row in enumerate(rows):
        if not isinstance(row, dict) or row.keys() != rows[0].keys() or not hints.keys() <= {*row}:
            return f"has other columns in row {number}"
        for name, value in row.items():
            if not (fits(value, hints[name]) if name in hints else is_other(value)):
                return f"has {name} {quoted(value)} in row {number}"
    return ""


def _read_object(
    path: str, problem_of: Callable[[object], str], damaged: str, remedy: str
) -> dict[str, Any]:
    """Reads a JSON object.

    Raises:
        FormatError: It is missing, or not as it should be.
    """
    try:
        content = load_json(path)
    except (OSError, ValueError) as error:
        raise FormatError(f"{damaged}. {remedy}") from error
    if problem := problem_of(content):
        raise FormatError(f"{damaged}: {problem}. {remedy}")
    return dict(content)


def _options_problem(content: object) -> str:
    """Describes an error in the content of config.json; empty if there is none."""
    if not isinstance(content, dict):
        return "it is no object"
    for name in ("dataset", "dataset_id"):
        if not is_text(content.get(name)):
            return f"its `{name}` is {quoted(content.get(name))}"
    for name, hint in _hints().items():
        if name in content and not fits(content[name], hint):
            return f"its `{name}` is {quoted(content[name])}"
    return ""


def _environment_problem(content: object) -> str:
    """Describes an error in the content of environment.json; empty if there is none."""
    if not isinstance(content, dict):
        return "it is no object"
    packages = content.get("packages", {})
    if not isinstance(packages, dict):
        return f"its `packages` is {quoted(packages)}"
    for name, value in (*content.items(), *packages.items()):
        if name != "packages" and not (value is None or is_text(value) or is_whole(value)):
            return f"its `{name}` is {quoted(value)}"
    return ""


@functools.cache
def _hints() -> dict[str, Any]:
    """Returns the type of each option."""
    hints = get_type_hints(TrainConfig)
    own = {field.name: hints[field.name] for field in fields(TrainConfig)}
    return {**own, "augment": bool | str}  # see `renamed`


def _parse_history(text: str) -> list[dict[str, str]]:
    """Returns the rows of history.csv.

    Raises:
        ValueError: It is not as `train` writes it; says where.
    """
    try:
        header, *lines = list(csv.reader(io.StringIO(text, newline=""), strict=True)) or [[]]
    except csv.Error as error:
        raise ValueError(f"it is no CSV: {error}") from error
    if len(set(header)) != len(header) or not {*_WHOLE_COLUMNS} <= {*header}:
        raise ValueError("its first line does not name each column once")
    for number, line in enumerate(lines, 2):
        cells = zip(header, line, strict=False)
        if len(line) != len(header) or not all(_is_cell(*cell) for cell in cells):
            raise ValueError(f"line {number} is no row of numbers")
    return [dict(zip(header, line, strict=True)) for line in lines]


def _is_cell(column: str, value: str) -> bool:
    """Returns whether a cell of history.csv holds a number."""
    if column in _WHOLE_COLUMNS:
        return value.isascii() and value.isdecimal() and len(value) < len(str(LARGEST))
    try:
        float(value)
    except ValueError:
        return False
    return True


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
    if get_origin(hint) is tuple:
        return isinstance(value, list) and all(fits(one, get_args(hint)[0]) for one in value)
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
