"""Makes the folder of a new run."""

from __future__ import annotations

import os
from collections.abc import Iterable
from itertools import count

from convert.dataset.info import DATASET_JSON
from convert.os_errors import kind_of
from convert.storage.local import PART
from convert.storage.places import absolute, real_place
from train.errors import FormatError, UsageError

CONFIG, ENVIRONMENT, LOCK = "config.json", "environment.json", ".lock"


def make_folder(path: str | None) -> str:
    """Makes a new folder, numbered if the user named none; returns its path.

    Raises:
        UsageError: The folder exists, or cannot be made.
    """
    try:
        if path is None:
            return _next_number("runs")
        real = real_place(path)
        os.makedirs(os.path.dirname(os.path.abspath(real)), exist_ok=True)
        if not (os.path.isdir(real) and is_unborn(os.listdir(real))):
            os.mkdir(real)
        return path
    except FileExistsError as error:
        is_run = os.path.exists(os.path.join(path or "", CONFIG))
        raise taken(path or "", is_run=is_run) from error
    except OSError as error:
        raise kind_of(error)(f"{path or 'runs'}: cannot be made: {error.strerror}.") from error


def name_of(address: str) -> str:
    """Returns what a run is called: its folder, of a numbered one with the folder around it."""
    parent, name = os.path.split(absolute(address))
    return f"{os.path.basename(parent)}/{name}" if name.isdecimal() else name


def is_unborn(names: Iterable[str]) -> bool:
    """Returns whether a folder is empty, or what a run left that was killed before it was one.

    Args:
        names: What is in it.
    """
    early = (LOCK, DATASET_JSON, ENVIRONMENT)
    parts = tuple(file + PART for file in (*early, CONFIG))
    return all(name in early or name.startswith(parts) for name in names)


def taken(path: str, *, is_run: bool) -> UsageError:
    """Returns the error that a folder is there already."""
    hint = f"It is a run: go on with `train resume {path}`. " if is_run else ""
    return UsageError(
        f"{path}: exists already. {hint}Name a new folder with --run, or remove this one."
    )


def no_run(path: str) -> FormatError:
    """Returns the error that a folder is none that `train` made."""
    return FormatError(f"{path}: no {CONFIG} in it, so it is no run. `train` makes runs.")


def _next_number(parent: str) -> str:
    """Makes the first numbered folder that is free; two runs never get the same."""
    os.makedirs(parent, exist_ok=True)
    used = [int(name) for name in os.listdir(parent) if name.isdecimal()]
    for number in count(max(used, default=0) + 1):
        path = os.path.join(parent, str(number))
        try:
            os.mkdir(path)
        except FileExistsError:
            continue
        return path
    raise AssertionError("count() never ends")
