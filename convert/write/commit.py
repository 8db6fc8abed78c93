"""The output folder: checks what is there, and puts a finished dataset in its place."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

from convert.dataset.info import DATASET_JSON, QUARANTINE, SOURCE, SUCCESS, DatasetInfo
from convert.dataset.read import open_dataset, read_dataset
from convert.dataset.tfds import DATASET_INFO_JSON, FEATURES_JSON
from convert.errors import FormatError, ShardfeedError, TryAgainError, UsageError
from convert.storage.local import exchange, sync_folder
from convert.storage.places import absolute, filesystem_of

SIDECARS = (SOURCE, QUARANTINE, FEATURES_JSON, DATASET_INFO_JSON, SUCCESS, DATASET_JSON)
"""A dataset's files beside its shards, in the order in which they may be deleted."""


def check_output(output: str, plan_id: str, *, overwrite: bool) -> DatasetInfo | None:
    """Checks what is at the output's path.

    Returns:
        The finished dataset of this very plan, or None if there is work to do.

    Raises:
        UsageError: Something else stands there that must not be replaced.
    """
    files = filesystem_of(output)
    status = files.status(output)
    if status is None and not os.path.islink(output):
        return None
    if status is not None and status.is_folder and not files.names(output):
        return None
    try:
        dataset = open_dataset(output)
    except FormatError as error:
        raise UsageError(
            f"{output}: exists and is no valid dataset, so it is left alone. "
            "Choose another output, or remove it yourself."
        ) from error
    if overwrite:
        return None
    info = dataset.info
    if info.plan_id != plan_id:
        raise UsageError(
            f"{output}: holds a dataset of another plan ({info.plan_id[:8]}; this one is "
            f"{plan_id[:8]}): the manifest or an option differs. "
            "Choose another output, or replace it with --overwrite."
        )
    sizes = dataset.folder.sizes()
    for file, (size, _) in info.files().items():
        if sizes.get(file) != size:
            raise ShardfeedError(
                f"{os.path.join(output, file)}: missing or not of its {size} bytes. "
                "Restore it, or convert again with --overwrite."
            )
    return info


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
    parent, start = os.path.split(_old_prefix(absolute(output)))
    for name in [name for name in files.names(parent) if name.startswith(start)]:
        folder = os.path.join(parent, name)
        if files.exists(os.path.join(folder, DATASET_JSON)):
            _remove_dataset(folder)
        elif files.is_folder(folder) and not files.names(folder):
            files.remove(folder)  # a run was killed right before this
        else:
            continue  # an earlier run has told of it
        if files.is_folder(folder):
            kept = ", ".join(sorted(files.names(folder))[:3])
            say(f"the replaced dataset is deleted, but {folder} keeps files of others: {kept}")


def is_unsettled(output: str) -> bool:
    """Returns whether a run is at work on an output, or was killed before it had cleared up."""
    files = filesystem_of(output)
    if files.is_local and os.path.lexists(lock_path(output)):
        return True
    parent, start = os.path.split(_old_prefix(absolute(output)))
    return files.is_folder(parent) and any(name.startswith(start) for name in files.names(parent))


def lock_path(output: str) -> str:
    """Returns the file that whoever writes an output has locked."""
    parent, name = os.path.split(os.path.abspath(output))
    return os.path.join(parent, f".{name}.lock")


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
