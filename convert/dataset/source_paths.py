"""`sources.parquet`: the path of each manifest row's image, beside the shards.

Its columns are `row` and `path`: every row of the manifest in order, and the path as the manifest
spells it. It is no part of the dataset's id: its bytes differ between versions of pyarrow,
and a dataset without it, as older ones are, is whole. The id of the plan stands in its metadata,
its size and digest in `_source.json`, and each page has a CRC.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from convert.dataset.info import SOURCE_PATHS
from convert.dataset.path_table import PathTable
from convert.dataset.read import OpenDataset, open_dataset

if TYPE_CHECKING:
    import pyarrow as pa


class SourcePaths:
    """The paths of a dataset's sources, in its folder. Threads and forked processes may share it.

    Args:
        dataset: The dataset; it has the file.
    """

    def __init__(self, dataset: OpenDataset) -> None:
        self._folder, self._plan_id = dataset.folder, dataset.info.plan_id

    def of(self, rows: Sequence[int]) -> list[str]:
        """Returns the paths of some manifest rows; only the groups that have them are read.

        Args:
            rows: 0-based, in any order, also repeatedly.

        Returns:
            As the manifest spells them; empty for a row that it does not have.

        Raises:
            FormatError: The file is gone, damaged or of another dataset.
        """
        wanted = np.asarray(rows, np.int64).reshape(-1)
        paths = [""] * len(wanted)
        with PathTable(self._folder, self._plan_id) as file:
            groups = np.searchsorted(file.ends, wanted, "right")
            known = (wanted >= 0) & (groups < len(file.ends))
            for group in np.unique(groups[known]).tolist():
                places = np.flatnonzero(known & (groups == group))
                first = int(file.ends[group - 1]) if group else 0
                found = file.group(group).take(wanted[places] - first).to_pylist()
                for place, path in zip(places.tolist(), found, strict=True):
                    paths[place] = path
        return paths

    def parts(self) -> Iterator[pa.Array]:
        """Yields all paths, large_string, in the order of the manifest, a part at a time.

        Raises:
            FormatError: The file is gone, damaged or of another dataset.
        """
        with PathTable(self._folder, self._plan_id) as file:
            for group in range(len(file.ends)):
                yield file.group(group)


def read_source_paths(dataset: str) -> SourcePaths | None:
    """Opens the paths of a dataset's sources.

    Args:
        dataset: Its folder or address.

    Returns:
        None if the dataset does not have them, as older ones.

    Raises:
        FormatError: There is no dataset.
    """
    return source_paths(open_dataset(dataset))


def source_paths(dataset: OpenDataset) -> SourcePaths | None:
    """Returns the paths of an open dataset's sources; None if it does not have them."""
    try:
        dataset.folder.look(SOURCE_PATHS)
    except FileNotFoundError:
        return None
    except OSError:
        pass  # told when a path is asked for
    return SourcePaths(dataset)
