"""Finds a record's image file through the manifest, which a dataset does not contain."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from convert.dataset.info import DatasetInfo
from convert.plan.download import dataset_manifest
from convert.plan.manifest import Manifest


def source_finder(folder: str, info: DatasetInfo, manifest: str | None) -> Callable[[int], str]:
    """Returns a function from a manifest row to the path of its image.

    The manifest is read when the first row is asked for.

    Args:
        folder: The dataset's folder, for messages.
        info: Its description.
        manifest: The manifest that it was made from, or with `--from-names` the folder of images.
            None: the function knows no path, and returns "".

    Raises:
        UsageError: When a row is asked for: the manifest is another one, or cannot be read.
    """

    @cache
    def opened() -> Manifest:
        assert manifest is not None
        return dataset_manifest(folder, info, manifest)

    def source_of(row: int) -> str:
        if manifest is None or not 0 <= row < opened().num_rows:
            return ""
        path: str = opened().columns["path"][row].as_py()
        return path

    return source_of
