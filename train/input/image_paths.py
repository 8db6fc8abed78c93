"""Finds records' image files: through the manifest if it is given, else in `sources.parquet`."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

from convert.dataset.folder import Folder
from convert.dataset.read import OpenDataset
from convert.dataset.source_paths import source_paths
from convert.errors import ShardfeedError
from convert.plan.load_inputs import dataset_manifest
from convert.plan.spooled import TextColumn
from train.records.reading.reader import SourcesOf

if TYPE_CHECKING:
    import pyarrow as pa


def source_finder(datasets: Sequence[OpenDataset], manifest: str | None) -> SourcesOf:
    """Returns a function from a dataset's folder and manifest rows to the paths of their images.

    A path that is not known is empty. Nothing is read before the first row is asked for.

    Args:
        datasets: The datasets.
        manifest: The manifest that they were made from, or with `--from-names` the folder of
            images. None: each dataset's `sources.parquet` is read, if it has one.

    Raises:
        UsageError: When a row is asked for: the manifest is another one, or cannot be read.
    """
    of_folder = {id(dataset.folder): dataset for dataset in datasets}

    @cache
    def column(folder: int) -> pa.Array:
        found = of_folder[folder]
        assert manifest is not None
        return dataset_manifest(found.path, found.info, manifest).columns["path"]

    def sources_of(folder: Folder, rows: Sequence[int]) -> list[str]:
        if manifest is not None:
            paths = column(id(folder))
            return [paths[row].as_py() if 0 <= row < len(paths) else "" for row in rows]
        with contextlib.suppress(ShardfeedError):  # a name is no reason to stop; `verify` tells
            known = source_paths(of_folder[id(folder)])
            if known is not None:
                return known.of(rows)
        return [""] * len(rows)

    return sources_of


def source_column(dataset: OpenDataset, manifest: str | None) -> pa.Array | None:
    """Returns the paths of all rows of a manifest, large_string; many of them are not in memory.

    Args:
        dataset: What was made from it.
        manifest: The manifest. None: the dataset's `sources.parquet` is read.

    Returns:
        None if the dataset does not have one.

    Raises:
        UsageError: The manifest is another one, or cannot be read.
        FormatError: The paths cannot be read.
    """
    if manifest is not None:
        return dataset_manifest(dataset.path, dataset.info, manifest).columns["path"]
    known = source_paths(dataset)
    if known is None:
        return None
    with TextColumn() as column:
        for part in known.parts():
            column.append(part)
        return column.finish()
