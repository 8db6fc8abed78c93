"""Puts a finished dataset in its place, and deletes the one that it replaces."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

from convert.dataset.info import DATASET_JSON, QUARANTINE, SOURCE, SOURCE_PATHS, SUCCESS
from convert.dataset.read import read_dataset
from convert.dataset.tfds import DATASET_INFO_JSON, FEATURES_JSON
from convert.errors import TryAgainError, UsageError
from convert.storage.local import exchange, sync_folder
from convert.storage.places import absolute, filesystem_of

SIDECARS = (
    *(SOURCE, SOURCE_PATHS, QUARANTINE, FEATURES_JSON, DATASET_INFO_JSON),
    *(SUCCESS, DATASET_JSON),
)
"""A dataset's files beside its shards, in the order in which they may be deleted."""


def put_in_place(folder: str, output: str, *, overwrite: bool) -> None:
    """Renames a finished folder to the output in one step.

    Args:
        folder: The finished dataset, on the output's file system.
        output: Its path. An empty folder there is replaced.
        overwrite: Replace a valid dataset that stands there, and delete it afterwards.

    Raises:
        TryAgainError: Something else took the output's name meanwhile.
    """
    output = absolute(output)
    files = filesystem_of(output)
    if overwrite and files.exists(os.path.join(output, DATASET_JSON)):
        old = _old_prefix(output) + read_dataset(output).dataset_id[:16]
        if files.exists(os.path.join(old, DATASET_JSON)):
            _remove_dataset(old)  # a run was killed between the two steps below
        while files.exists(old):
            old += "-"  # it keeps files of others
        if files.is_local:
            _swap(folder, output, old)
            return
        files.move(output, old)  # HDFS swaps no names: a run killed here finds its work in staging
    try:
        files.move(folder, output)
    except FileExistsError as error:
        raise TryAgainError(
            f"{output}: appeared while converting and is not empty. Run the same command again."
        ) from error


def _swap(folder: str, output: str, old: str) -> None:
    """Gives a finished folder the output's name, and the dataset that stands there another.

    Args:
        folder: The finished dataset.
        output: The dataset that is replaced.
        old: Where it goes, to be deleted. Nothing stands there.
    """
    os.rename(folder, old)
    try:
        exchange(old, output)
    except OSError as error:
        os.rename(old, folder)  # where the next run finds the finished work
        if error.errno != errno.EXDEV:
            raise
        _replace_unmovable(folder, output)
    sync_folder(os.path.dirname(output))


def _replace_unmovable(folder: str, output: str) -> None:
    """Replaces a dataset whose folder has no rename, as on an overlay's lower layer (Docker).

    For a moment there is none under its name. A run killed meanwhile finds its work in staging.

    Raises:
        UsageError: The folder keeps files of others, with which it cannot be deleted.
    """
    others = sorted(set(os.listdir(output)) - {*read_dataset(output).files(), *SIDECARS})
    if others:
        raise UsageError(
            f"{output}: its file system (an overlay, as in a container) cannot rename it, and it "
            f"keeps files of others: {', '.join(others[:3])}. Move them away, then run the same "
            "command again: what was converted is kept."
        )
    _remove_dataset(output)
    os.rename(folder, output)


def remove_replaced(output: str, say: Callable[[str], None]) -> None:
    """Deletes datasets that `put_in_place` replaced, also those that a killed run left.

    Only what a folder's own `dataset.json` lists is deleted; files that are not ours stay.
    """
    files = filesystem_of(output)
    for folder in replaced_folders(output):
        if files.exists(os.path.join(folder, DATASET_JSON)):
            _remove_dataset(folder)
        elif files.is_folder(folder) and not files.names(folder):
            files.remove(folder)  # a run was killed right before this
        else:
            continue  # an earlier run has told of it
        if files.is_folder(folder):
            kept = ", ".join(sorted(files.names(folder))[:3])
            say(f"the replaced dataset is deleted, but {folder} keeps files of others: {kept}")


def replaced_folders(output: str) -> list[str]:
    """Returns the folders of datasets that `put_in_place` replaced and nobody has deleted yet."""
    files = filesystem_of(output)
    parent, start = os.path.split(_old_prefix(absolute(output)))
    names = files.names(parent) if files.is_folder(parent) else []
    return [os.path.join(parent, name) for name in names if name.startswith(start)]


def _old_prefix(output: str) -> str:
    parent, name = os.path.split(output)
    return os.path.join(parent, f".{name}.old-")


def _remove_dataset(folder: str) -> None:
    """Deletes what a dataset's `dataset.json` lists, and the folder if that empties it."""
    info, files = read_dataset(folder), filesystem_of(folder)
    # dataset.json goes last: until then the folder says what is left to delete.
    for file in [*info.files(), *SIDECARS]:
        files.remove(os.path.join(folder, file))
    if not files.names(folder):
        files.remove(folder)
