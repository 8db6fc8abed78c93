"""Checkpoints: folders that are there whole or not at all, and that know when they are damaged.

RUN/checkpoints/epoch-0002-step-00000013/      two epochs done, and 13 steps of the third
  state.npz        every variable: weights, BatchNorm, dropout seeds, optimizer, metric totals
  best.keras       the run's best and last model as they were then, once there are some
  last.keras
  last_raw.keras   the last one without the average of weights, unless `--ema 0`
  checkpoint.json  where the run stood, and the digest of each file; written last

Models are copied, not linked: damage to one file must leave older checkpoints whole.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from hashlib import sha256
from typing import Any, BinaryIO, TypeVar, get_origin, get_type_hints

import numpy as np

from convert.storage.places import sha256_file
from convert.storage.regular_files import open_regular
from train.errors import CheckpointError
from train.memory import available_bytes
from train.runs.files.archives import ArrayHeader, read_arrays, read_headers
from train.runs.files.json_csv import (
    fits,
    is_number,
    is_text,
    is_whole,
    load_json,
    quoted,
    rows_problem,
)
from train.runs.folder import MODELS
from train.runs.history import Journal, Row

CHECKPOINT, STATE = "checkpoint.json", "state.npz"

FORMAT = 1

_Read = TypeVar("_Read")


@dataclass(frozen=True, kw_only=True, slots=True)
class Position:
    """Where a run stood, and what it had come to: everything but the variables.

    Attributes:
        epoch: Epochs that are finished, validated and written down.
        step: Steps done of the epoch after these; all, if only its validation is missing.
        options: Those that a resume must have again, the dataset's id among them.
        history: A row for each finished epoch.
        bad_records: Records that were replaced by others.
        seconds: What the run has taken.
        epoch_seconds: What the steps of the unfinished epoch have taken.
        epoch_waited_seconds: What these waited for input.
        events: Length of each TensorBoard file.
    """

    epoch: int
    step: int
    options: dict[str, Any]
    history: list[Row]
    bad_records: list[Row]
    seconds: float
    epoch_seconds: float
    epoch_waited_seconds: float
    events: dict[str, int]

    @property
    def name(self) -> str:
        """The checkpoint's folder."""
        return f"epoch-{self.epoch:04d}-step-{self.step:08d}"

    @property
    def journal(self) -> Journal:
        """What the run had come to; it may be added to."""
        return Journal(list(self.history), list(self.bad_records))


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """A checkpoint that was found whole.

    Attributes:
        path: Its folder.
        position: Where the run stood.
        models: Names of the model files in it.
    """

    path: str
    position: Position
    models: tuple[str, ...]

    def require_headers(self) -> dict[str, ArrayHeader]:
        """Returns what the variables' values are said to be; reads none of them.

        Raises:
            CheckpointError: That cannot be read, or it claims more than there is.
        """
        return self._read_state(read_headers)

    def require_arrays(self) -> dict[str, np.ndarray[Any, Any]]:
        """Returns the variables' values.

        Raises:
            CheckpointError: They cannot be read, or claim to be more than there is.
        """
        return self._read_state(read_arrays)

    def _read_state(self, read: Callable[[BinaryIO], _Read]) -> _Read:
        path = os.path.join(self.path, STATE)
        try:
            with open(path, "rb", opener=open_regular) as file:
                return read(file)
        except (OSError, ValueError, MemoryError) as error:
            raise CheckpointError(
                f"{path}: cannot be read: {error}. Restore it from a copy, or start a new run."
            ) from error

    def require_fitting(self, num_steps: int) -> None:
        """Raises if the position is impossible for epochs of `num_steps` steps.

        Raises:
            CheckpointError: It is.
        """
        position = self.position
        epochs = [row["epoch"] for row in position.history]
        if epochs != list(range(1, position.epoch + 1)) or position.step > num_steps:
            raise CheckpointError(
                f"{os.path.join(self.path, CHECKPOINT)}: damaged: {position.epoch} epochs and "
                f"{position.step} steps do not fit its history of {len(epochs)} epochs, each of "
                f"{num_steps} steps. Restore a checkpoint from a copy, or start a new run."
            )


def read_checkpoint(path: str, shown: str) -> Checkpoint:
    """Reads a checkpoint.

    Args:
        path: Its folder.
        shown: What the user calls it.

    Raises:
        ValueError: It is damaged; says how.
        CheckpointError: Its format is a newer one.
    """
    try:
        content = load_json(os.path.join(path, CHECKPOINT))
        digest = content.pop("sha256")
    except (OSError, ValueError, AttributeError, KeyError) as error:
        raise ValueError(f"its {CHECKPOINT} cannot be read") from error
    if digest != content_digest(content):
        raise ValueError(f"the digest of its {CHECKPOINT} is wrong")
    if is_whole(content.get("format"), FORMAT + 1):
        raise CheckpointError(
            f"{shown}: written by a newer shardfeed: its format is {content['format']}, and this "
            f"version reads {FORMAT}. Update shardfeed, or start a new run."
        )
    if content.get("format") != FORMAT:
        raise ValueError(f"its format is {quoted(content.get('format'))}, expected {FORMAT}")
    if problem := _problem(content):  # whoever hands us a run can compute digests too
        raise ValueError(f"its {CHECKPOINT} {problem}")
    for name, expected in content["files"].items():
        try:
            found = _digest_of_file(os.path.join(path, name), name)
        except OSError as error:
            raise ValueError(f"its {name} cannot be read: {error.strerror}") from error
        if found != expected:
            raise ValueError(f"the digest of its {name} is wrong")
    position = Position(**{field.name: content[field.name] for field in fields(Position)})
    models = tuple(name for name in content["files"] if name != STATE)
    return Checkpoint(path=path, position=position, models=models)


def _problem(content: Mapping[str, Any]) -> str:
    """Describes an error in the content of checkpoint.json; empty if there is none."""
    for name, hint in get_type_hints(Position).items():
        value = content.get(name)
        is_kind = fits(value, hint) if hint in (int, float) else type(value) is get_origin(hint)
        if not is_kind or (isinstance(value, (int, float)) and value < 0):
            return f"has {name} {quoted(value)}"
    if not all(is_text(name) and is_whole(size) for name, size in content["events"].items()):
        return "has events that are no sizes of files"
    files = content.get("files")
    if not isinstance(files, dict) or STATE not in files or not files.keys() <= {STATE, *MODELS}:
        return "names other files than those of a checkpoint"
    if problem := rows_problem(content["history"], {"epoch": int, "step": int}, is_number):
        return f"{problem} of its history"
    hints = {"shard": str, "record": int}
    problem = rows_problem(content["bad_records"], hints, lambda x: is_text(x) or is_number(x))
    return problem and f"{problem} of its bad records"


def content_digest(content: Mapping[str, Any]) -> str:
    """Returns the SHA-256 of what checkpoint.json says, itself left out."""
    return sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _digest_of_file(path: str, name: str) -> str:
    """Returns a file's digest; raises `ValueError` if it is larger than memory (a sparse file)."""
    size, memory = os.stat(path, follow_symlinks=False).st_size, available_bytes()
    if memory is not None and size > memory:
        raise ValueError(f"its {name} has {size:,} bytes, more than fit into memory")
    return sha256_file(path)
