"""The output folder: what may stand there, and how a finished dataset takes its place."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

from convert.errors import FormatError, ShardfeedError, TryAgainError, UsageError
from convert.local import exchange, sync_folder
from convert.metadata import DATASET_JSON, QUARANTINE, SUCCESS, DatasetInfo
from convert.storage import read_dataset
from convert.tfds import DATASET_INFO_JSON, FEATURES_JSON


def check_output(output: str, plan_id: str, *, overwrite: bool) -> DatasetInfo | None:
    """Looks at what stands where the output shall be.

    Returns:
        The finished dataset of this very plan, or None if there is work to do.

    Raises:
        UsageError: Something else stands there that must not be replaced.
    """
    if not os.path.lexists(output) or (os.path.isdir(output) and not os.listdir(output)):
        return None
    try:
        info = read_dataset(output)
    except FormatError as error:
        raise UsageError(
            f"{output}: exists and is no valid dataset, so it is left alone. "
            "Choose another output, or remove it yourself."
        ) from error
    if overwrite:
        return None
    if info.plan_id != plan_id:
        raise UsageError(
            f"{output}: holds a dataset of another plan ({info.plan_id[:8]}; this one is "
            f"{plan_id[:8]}): the manifest or an option differs. "
            "Choose another output, or replace it with --overwrite."
        )
    for file, (size, _) in info.files().items():
        path = os.path.join(output, file)
        if not os.path.isfile(path) or os.path.getsize(path) != size:
            raise ShardfeedError(
                f"{path}: missing or not of its {size} bytes. "
                "Restore it, or convert again with --overwrite."
            )
    return info


def put_in_place(folder: str, output: str, *, overwrite: bool) -> None:
    """Renames a finished folder to the output in one step.

    Args:
        folder: The finished dataset, on the output's file system.
        output: Where it shall stand. An empty folder there gives way.
        overwrite: Replace a valid dataset that stands there, and delete it afterwards.

    Raises:
        TryAgainError: Something else took the output's name meanwhile.
    """
    output = os.path.abspath(output)
    if overwrite and os.path.exists(os.path.join(output, DATASET_JSON)):
        old = _old_prefix(output) + read_dataset(output).dataset_id[:16]
        if os.path.exists(os.path.join(old, DATASET_JSON)):
            _remove_dataset(old)  # a run was killed between the two steps below
        while os.path.lexists(old):
            old += "-"  # it keeps files of others
        os.rename(folder, old)
        exchange(old, output)
    else:
        try:
            os.rename(folder, output)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
                raise
            raise TryAgainError(
                f"{output}: appeared while converting and is not empty. Run the same command again."
            ) from error
    sync_folder(os.path.dirname(output))


def remove_replaced(output: str, say: Callable[[str], None]) -> None:
    """Deletes datasets that `put_in_place` replaced, also those that a killed run left.

    Only what a folder's own `dataset.json` lists is deleted; files that are not ours stay.
    """
    prefix = _old_prefix(os.path.abspath(output))
    parent, start = os.path.split(prefix)
    for name in [name for name in os.listdir(parent) if name.startswith(start)]:
        folder = os.path.join(parent, name)
        if os.path.exists(os.path.join(folder, DATASET_JSON)):
            _remove_dataset(folder)
        elif os.path.isdir(folder) and not os.listdir(folder):
            os.rmdir(folder)  # a run was killed right before this
        else:
            continue  # an earlier run has told of it
        if os.path.isdir(folder):
            kept = ", ".join(sorted(os.listdir(folder))[:3])
            say(f"the replaced dataset is deleted, but {folder} keeps files of others: {kept}")


def is_unsettled(output: str) -> bool:
    """Tells whether a run is at work on an output, or was killed before it had cleared up."""
    if os.path.lexists(lock_path(output)):
        return True
    parent, start = os.path.split(_old_prefix(os.path.abspath(output)))
    return os.path.isdir(parent) and any(name.startswith(start) for name in os.listdir(parent))


def lock_path(output: str) -> str:
    """Returns the file that whoever writes an output has locked."""
    parent, name = os.path.split(os.path.abspath(output))
    return os.path.join(parent, f".{name}.lock")


def _old_prefix(output: str) -> str:
    parent, name = os.path.split(output)
    return os.path.join(parent, f".{name}.old-")


def _remove_dataset(folder: str) -> None:
    """Deletes what a dataset's `dataset.json` lists, and the folder if that empties it."""
    info = read_dataset(folder)
    # dataset.json goes last: until then the folder says what is left to delete.
    for file in [
        *info.files(),
        QUARANTINE,
        FEATURES_JSON,
        DATASET_INFO_JSON,
        SUCCESS,
        DATASET_JSON,
    ]:
        Path(folder, file).unlink(missing_ok=True)
    if not os.listdir(folder):
        os.rmdir(folder)
