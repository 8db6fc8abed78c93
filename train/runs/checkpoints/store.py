"""Writes the checkpoints of a run, deletes old ones, and finds the newest that is whole."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from typing import Any, cast

import numpy as np

from convert.storage.local import sync_folder
from convert.storage.places import sha256_file
from convert.storage.regular_files import open_regular
from train.runs.checkpoints.checkpoint import (
    CHECKPOINT,
    FORMAT,
    STATE,
    Checkpoint,
    Position,
    content_digest,
    read_checkpoint,
)

_NAME = re.compile(r"epoch-(\d{4,})-step-(\d{8,})")
PART, _OLD = ".part-", ".old-"  # of the names of folders that are not finished, or half deleted

Arrays = Mapping[str, np.ndarray[Any, Any]]


def checkpoint_names(names: Iterable[str]) -> list[str]:
    """Returns those names that are a checkpoint's, the oldest first."""
    found = [match for match in map(_NAME.fullmatch, names) if match]
    found.sort(key=lambda match: (int(match[1]), int(match[2])))
    return [match.string for match in found]


class Checkpoints:
    """The checkpoints of a run.

    Args:
        path: Their folder.
        keep: Newest ones that stay when another is written. At least 1.
        shown: What the user calls the folder. None: the path.
    """

    def __init__(self, path: str, keep: int = 1, shown: str | None = None) -> None:
        self.path, self._shown = path, shown or path
        self._keep = keep

    def names(self) -> list[str]:
        """Returns the names of all checkpoints, the oldest first."""
        return checkpoint_names(os.listdir(self.path) if os.path.isdir(self.path) else [])

    def write(self, position: Position, arrays: Arrays, models: Mapping[str, str]) -> None:
        """Writes a checkpoint and deletes those that are too old.

        Args:
            position: Where the run stands. If there is a checkpoint of it, nothing happens.
            arrays: The variables' values.
            models: {name: path} of the model files to copy.

        Raises:
            OSError: The disk is full or damaged. Earlier checkpoints are as they were.
        """
        path = os.path.join(self.path, position.name)
        if os.path.isdir(path):
            return
        os.makedirs(self.path, exist_ok=True)
        part = os.path.join(self.path, PART + position.name)
        os.mkdir(part)
        try:
            _write_content(part, position, arrays, models)
            os.rename(part, path)
        except OSError:
            shutil.rmtree(part, ignore_errors=True)  # it may be what fills the disk
            raise
        sync_folder(self.path)
        for name in self.names()[: -self._keep]:
            self._delete(name)

    def newest(self, on_damage: Callable[[str, str], None]) -> Checkpoint | None:
        """Returns the newest checkpoint that is whole.

        Args:
            on_damage: Told name and problem of each newer one that is not.

        Raises:
            CheckpointError: A newer version of shardfeed wrote it: nothing is damaged.
        """
        for name in reversed(self.names()):
            path = os.path.join(self.path, name)
            try:
                return read_checkpoint(path, os.path.join(self._shown, name))
            except ValueError as problem:
                on_damage(name, str(problem))
        return None

    def tidy(self, newest: Checkpoint | None) -> None:
        """Deletes what a killed process left behind, and checkpoints newer than a given one."""
        names = self.names()
        known = names.index(os.path.basename(newest.path)) + 1 if newest else 0
        for name in names[known:]:
            self._delete(name)
        for name in os.listdir(self.path) if os.path.isdir(self.path) else []:
            if name.startswith((PART, _OLD)):
                shutil.rmtree(os.path.join(self.path, name))

    def _delete(self, name: str) -> None:
        """Deletes a checkpoint so that a half of it never looks like a whole one."""
        old = os.path.join(self.path, _OLD + name)
        os.rename(os.path.join(self.path, name), old)
        shutil.rmtree(old)


def _write_content(
    folder: str, position: Position, arrays: Arrays, models: Mapping[str, str]
) -> None:
    """Fills the folder of a checkpoint and brings it to the disk."""
    with open(os.path.join(folder, STATE), "wb") as file:
        np.savez(file, allow_pickle=False, **cast(dict[str, Any], arrays))
    for name, path in models.items():
        shutil.copyfile(path, os.path.join(folder, name))
    names = [STATE, *models]
    for name in names:
        _sync_file(os.path.join(folder, name))
    files = {name: sha256_file(os.path.join(folder, name)) for name in names}
    content = {"format": FORMAT, **asdict(position), "files": files}
    with open(os.path.join(folder, CHECKPOINT), "w", encoding="utf-8") as file:
        json.dump(
            {**content, "sha256": content_digest(content)}, file, ensure_ascii=False, indent=1
        )
        file.write("\n")
    _sync_file(os.path.join(folder, CHECKPOINT))
    sync_folder(folder)


def _sync_file(path: str) -> None:
    descriptor = open_regular(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
