"""Reads what a comparison of runs tells."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from train.config import OF_PLACES, TrainConfig
from train.errors import FormatError, UsageError
from train.pages.chart import KINDS
from train.runs.dataset_identity import own_ids, own_paths
from train.runs.folder import RunFolder
from train.runs.history import Journal
from train.runs.new_folder import name_of
from train.runs.open import read_run

DATASET_ID = "dataset_id"


@dataclass(frozen=True, kw_only=True, slots=True)
class Compared:
    """A run as one of several.

    Attributes:
        address: Its folder, as the user named it.
        name: The end of that, where it tells the runs apart.
        options: Its options by name, and the ids of its datasets; unknown ones are missing.
        history: A row an epoch, at least one; values that are no numbers are NaN.
        best: The row of the epoch whose weights are kept.
    """

    address: str
    name: str
    options: Mapping[str, Any]
    history: Sequence[Mapping[str, float]]
    best: Mapping[str, float]

    def at_best(self, column: str) -> float | None:
        """Returns a column's value at the best epoch; None if there is none."""
        value = self.best.get(column, math.nan)
        return value if math.isfinite(value) else None

    def finite(self, column: str) -> list[float]:
        """Returns the values of a column that are numbers; 0 if there are none."""
        values = [row.get(column, math.nan) for row in self.history]
        return [value for value in values if math.isfinite(value)] or [0.0]

    @property
    def seconds(self) -> float:
        """Time of all epochs."""
        return sum(self.finite("seconds"))


def read_runs(addresses: Sequence[str]) -> list[Compared]:
    """Reads runs.

    Args:
        addresses: Their folders, or addresses on HDFS; at least two.

    Raises:
        UsageError: They are too few, too many, or one is named twice.
        FormatError: One is no run, cannot be read, or has no epoch yet.
        TryAgainError: HDFS fails for a passing reason.
    """
    if len(set(addresses)) != len(addresses):
        raise UsageError("a run is named twice; name each once.")
    if not 2 <= len(addresses) <= len(KINDS):
        raise UsageError(f"name 2 to {len(KINDS)} runs to compare, got {len(addresses)}.")
    names = [name_of(address) for address in addresses]
    names = names if len(set(names)) == len(names) else list(addresses)
    found = []
    for address, name in zip(addresses, names, strict=True):
        with read_run(address) as run:
            found.append(_read(run, name))
    return found


def _read(run: RunFolder, name: str) -> Compared:
    history = [{name: float(text) for name, text in row.items()} for row in run.history()]
    if not history:
        raise FormatError(f"{run.address}: has no finished epoch yet, so nothing to compare.")
    config = run.config()
    known = {field.name for field in fields(TrainConfig)} - set(OF_PLACES)
    options = {name: value for name, value in config.items() if name in known}
    options["dataset"] = " ".join(own_paths(config))
    options[DATASET_ID] = " ".join(one[:8] for one in own_ids(config))
    return Compared(
        address=run.address, name=name, options=options, history=history, best=Journal(history).best
    )


def differing(runs: Sequence[Compared]) -> list[tuple[str, list[str]]]:
    """Returns the options that are not the same in all runs, and each run's value as text."""
    names = dict.fromkeys(name for run in runs for name in run.options)
    rows = [(name, [_written(run.options.get(name)) for run in runs]) for name in names]
    return [(name, values) for name, values in rows if len(set(values)) > 1]


def _written(value: Any) -> str:
    if value is None or value == []:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ",".join(map(_written, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
