"""Files that no output may replace: those of the run, and everything in its dataset."""

from __future__ import annotations

import os
from collections.abc import Iterable

from convert.storage.places import is_remote
from train.errors import UsageError
from train.runs.dataset_identity import own_paths
from train.runs.folder import AUDIT, CHECKPOINTS, EVENTS, FILES, RunFolder

_RUN_NAMES = (*FILES, CHECKPOINTS, EVENTS, AUDIT)


def require_no_input(paths: Iterable[str], run: RunFolder, dataset: str | None) -> None:
    """Checks that outputs replace nothing that they are made from, not even if asked to.

    Args:
        paths: Where outputs go.
        run: The run.
        dataset: The dataset that is read, or its address. None: those of the run.

    Raises:
        UsageError: One is a file of the run, or in the dataset.
    """
    datasets = own_paths(run.config()) if dataset is None else [dataset]
    for path in paths:
        if _below(path, run.path).split(os.sep)[0] in _RUN_NAMES:
            raise UsageError(f"{path}: is a file of the run itself. Name another --output.")
        for one in datasets:
            if not is_remote(one) and _below(path, one).split(os.sep)[0] != os.pardir:
                raise UsageError(
                    f"{path}: is inside the dataset {one}, where only convert writes. "
                    "Name another --output."
                )


def _below(path: str, folder: str) -> str:
    """Returns a path as it is seen from a folder."""
    return os.path.relpath(os.path.realpath(path), os.path.realpath(folder))
