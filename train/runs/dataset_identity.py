"""Checks whether a dataset is the one that a run was trained on."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from convert.dataset.info import DatasetInfo
from convert.dataset.read import OpenDataset, open_dataset
from train.errors import MismatchError, ReplacedError
from train.runs.folder import RunFolder


def dataset_of(run: RunFolder, given: str | None, remedy: str) -> OpenDataset:
    """Opens the dataset that a user means.

    Args:
        run: The run.
        given: The dataset that was named; it may be any. None: the run's own.
        remedy: What to do if the run's own is another one now.

    Raises:
        FormatError: There is none.
        MismatchError: In the place of the run's own is another one.
    """
    path = given or str(run.config()["dataset"])
    dataset = open_dataset(path)
    if given is None and dataset.info.dataset_id != run.config()["dataset_id"]:
        raise other_dataset(run, path, dataset.info, remedy)
    return dataset


@contextlib.contextmanager
def reading(open_checked: Callable[[], OpenDataset]) -> Iterator[OpenDataset]:
    """Opens a dataset that a `with` block reads.

    If another one takes its place meanwhile, the error is the one that the same command would end
    with from now on.

    Args:
        open_checked: Opens the dataset, and compares it with the run.

    Raises:
        MismatchError: The dataset has to be the run's own, and is another one now.
        ReplacedError: It was replaced by one that may be read as well.
    """
    dataset = open_checked()
    try:
        yield dataset
    except ReplacedError:
        open_checked()
        raise


def other_dataset(run: RunFolder, path: str, info: DatasetInfo, remedy: str) -> MismatchError:
    """Returns the error that a dataset is not the run's, with both sides."""
    dataset_id = str(run.config()["dataset_id"])
    original = run.dataset_info()
    ours = _shown(original) if original.dataset_id == dataset_id else dataset_id[:8]
    return MismatchError(
        "these shards are not the ones this run was started on.",
        [("dataset of the run", ours), (f"dataset in {path}", _shown(info))],
        remedy,
    )


def _shown(info: DatasetInfo) -> str:
    records = sum(shard.records for shards in info.splits.values() for shard in shards)
    classes = sorted({len(classes) for classes in info.classes.values()})
    return f"{info.dataset_id[:8]} ({records:,} records, {'/'.join(map(str, classes))} classes)"
