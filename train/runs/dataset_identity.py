"""Checks whether a dataset is the one that a run was trained on."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from convert.dataset.info import DatasetInfo
from convert.dataset.read import OpenDataset, open_dataset
from train.errors import MismatchError, ReplacedError, UsageError
from train.runs.files.json_csv import is_text
from train.runs.folder import RunFolder

_Opened = TypeVar("_Opened")


def dataset_of(
    run: RunFolder, given: str | None, remedy: str, *, how: str | None = None
) -> OpenDataset:
    """Opens the dataset that a user means.

    Args:
        run: The run.
        given: The dataset that was named; it may be any. None: the run's own.
        remedy: What to do if the run's own is another one now.
        how: How a user names one of several, the end of a sentence. None: the first one serves.

    Raises:
        FormatError: There is none.
        MismatchError: In the place of the run's own is another one.
        UsageError: The run has several, and none was named.
    """
    config = run.config()
    paths = own_paths(config)
    if given is None and len(paths) > 1 and how is not None:
        raise UsageError(
            f"{run.address}: was trained on {len(paths)} datasets: {', '.join(paths)}. "
            f"Name the one that is meant {how}."
        )
    path = given or str(config["dataset"])
    dataset = open_dataset(path)
    if given is None and dataset.info.dataset_id != own_ids(config)[0]:
        raise other_dataset(run, path, dataset.info, remedy)
    return dataset


def own_paths(config: Mapping[str, Any]) -> list[str]:
    """Returns the paths of the datasets that a run was trained on, as `own_ids`."""
    return [config["dataset"], *config.get("more_datasets", ())]


def own_ids(config: Mapping[str, Any]) -> list[str]:
    """Returns the ids of the datasets that a run was trained on, in their order.

    Args:
        config: Content of config.json.
    """
    found = config.get("dataset_ids")
    if isinstance(found, list | tuple) and found and all(map(is_text, found)):
        return list(found)
    return [config["dataset_id"]]


@contextlib.contextmanager
def reading(open_checked: Callable[[], _Opened]) -> Iterator[_Opened]:
    """Opens a dataset, or several, that a `with` block reads.

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


def other_dataset(
    run: RunFolder, path: str, info: DatasetInfo, remedy: str, number: int = 0
) -> MismatchError:
    """Returns the error that a dataset is not the run's, with both sides; `number` says which."""
    dataset_id = own_ids(run.config())[number]
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
