"""Checks, before any work, that a finished dataset can be renamed to its output path."""

from __future__ import annotations

import os

from convert.errors import UsageError
from convert.storage.places import absolute, filesystem_of, is_remote

_LONGEST_NAME = 255 - len("..staging-0123456789abcdef")
"""Bytes of a dataset's name: Linux allows 255, and the staging folder beside it adds some."""


def check_destination(output: str, *, overwrite: bool) -> None:
    """Refuses places that no folder can be renamed to.

    Args:
        output: The dataset folder to be.
        overwrite: Whether it may replace a dataset that stands there.

    Raises:
        UsageError: It is empty, too long, the current folder, or a mount point.
    """
    if not output:
        raise UsageError("DATASET is an empty word, as an unset variable gives. Name a folder.")
    if is_remote(output):
        return
    name = os.path.basename(absolute(output))
    size = len(os.fsencode(name))
    if size > _LONGEST_NAME:
        raise UsageError(
            f"{output}: its name has {size} bytes; the working folder beside it, whose name is "
            f"longer, leaves room for {_LONGEST_NAME}. Choose a shorter name."
        )
    if os.path.isdir(output) and (overwrite or not filesystem_of(output).names(output)):
        _check_folder(output, overwrite=overwrite)


def _check_folder(output: str, *, overwrite: bool) -> None:
    """Refuses a folder, empty or a dataset, that another folder cannot replace."""
    if os.path.ismount(output):
        raise UsageError(
            f"{output}: is a mount point, which cannot be replaced. "
            f"Name a folder inside it, like {os.path.join(output, 'dataset')}."
        )
    if os.path.samefile(output, os.curdir):
        raise UsageError(
            f"{output}: is the current folder, which cannot be replaced from inside. "
            "Name a folder inside it, or give the command from another folder."
        )
