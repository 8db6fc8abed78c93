"""Files that no output may replace: those of the run, and everything in its dataset."""

from __future__ import annotations

import os
from collections.abc import Iterable

from convert.storage.places import is_remote
from train.errors import UsageError
from train.runs.folder import AUDIT, CHECKPOINTS, EVENTS, FILES

_RUN_NAMES = (*FILES, CHECKPOINTS, EVENTS, AUDIT)


def require_no_input(paths: Iterable[str], run: str, dataset: str) -> None:
    """Checks that outputs replace nothing that they are made from, not even if asked to.

    Args:
        paths: Where outputs go.
        run: The run's folder.
        dataset: The dataset's folder, or its address.

    Raises:
        UsageError: One is a file of the run, or in the dataset.
    """
    for path in paths:
        if _below(path, run).split(os.sep)[0] in _RUN_NAMES:
            raise UsageError(f"{path}: is a file of the run itself. Name another --output.")
        if not is_remote(dataset) and _below(path, dataset).split(os.sep)[0] != os.pardir:
            raise UsageError(
                f"{path}: is inside the dataset {dataset}, where only convert writes. "
                "Name another --output."
            )


def _below(path: str, folder: str) -> str:
    """Returns a path as it is seen from a folder."""
    return os.path.relpath(os.path.realpath(path), os.path.realpath(folder))
