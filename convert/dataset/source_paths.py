"""`sources.parquet`: the path of each manifest row's image, beside the shards.

It has one column, `path`, with the paths as the manifest spells them; row k of the file is row k
of the manifest. It is no part of the dataset's id: its bytes differ between versions of pyarrow,
and a dataset without it, as older ones are, is whole. The id of the plan stands in its metadata,
its size and digest in `_source.json`, and each page has a CRC.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from convert.dataset.folder import Folder
from convert.dataset.info import SOURCE_PATHS
from convert.dataset.read import OpenDataset, open_dataset
from convert.errors import FormatError
from convert.storage.interface import Writer
from convert.storage.regular_files import IrregularFileError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

_COLUMN = "path"
_PLAN_ID = b"shardfeed.plan_id"
# Read at once to find one path: about a MB, in some milliseconds. A file of 10^8 rows then has
# 6,000 groups, whose descriptions take a MB.
_GROUP_ROWS = 1 << 14
_MOST_GROUP_BYTES = 1 << 29  # of a file that others wrote; the longest paths of Linux take 2^26


@dataclass(frozen=True, slots=True)
class FileDigest:
    """What a file must be.

    Attributes:
        bytes: Its size.
        sha256: Digest of its content, in hexadecimal.
    """

    bytes: int
    sha256: str

    @classmethod
    def from_json(cls, content: object) -> FileDigest:
        """Returns a digest from JSON values.

        Raises:
            TypeError: They are not a digest's.
        """
        if not isinstance(content, dict):
            raise TypeError("no object")
        digest = cls(**content)
        if type(digest.bytes) is not int or not isinstance(digest.sha256, str):
            raise TypeError("no size and digest")
        return digest


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
        with _Opened(self._folder, self._plan_id) as file:
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
        with _Opened(self._folder, self._plan_id) as file:
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


def write_source_paths(file: Writer, paths: pa.Array, plan_id: str) -> FileDigest:
    """Writes the file, a group of rows at a time.

    Args:
        file: Where its bytes go.
        paths: large_string, no nulls; one a row of the manifest, in its order.
        plan_id: The plan's digest.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = _schema(pa.large_string())
    sink = _Sink(file)
    # Plain, since what is encoded with others' prefixes can expand to any size when it is read.
    with pq.ParquetWriter(
        pa.PythonFile(sink, "w"),
        schema,
        compression="zstd",
        use_dictionary=False,
        write_statistics=False,
        write_page_checksum=True,
        store_schema=False,
    ) as writer:
        for start in range(0, len(paths), _GROUP_ROWS):
            part = pa.record_batch([paths[start : start + _GROUP_ROWS]], schema)
            writer.write_batch(part, row_group_size=_GROUP_ROWS)
        writer.add_key_value_metadata({_PLAN_ID: plan_id.encode()})
    return FileDigest(sink.tell(), sink.sha256)


def _schema(text: pa.DataType) -> pa.Schema:
    import pyarrow as pa

    return pa.schema([pa.field(_COLUMN, text, nullable=False)])


class _Sink(io.RawIOBase):
    """Passes bytes on and digests them."""

    def __init__(self, file: Writer) -> None:
        self._file, self._digest, self._size = file, hashlib.sha256(), 0

    def writable(self) -> bool:
        return True

    def write(self, content: Any) -> int:
        content = bytes(content)
        self._file.write(content)
        self._digest.update(content)
        self._size += len(content)
        return len(content)

    def tell(self) -> int:
        return self._size

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()


class _Source(io.RawIOBase):
    """A file of a dataset's folder, read by parts."""

    def __init__(self, folder: Folder) -> None:
        self._folder, self._place = folder, 0
        kind, self._size = folder.look(SOURCE_PATHS)
        if kind:
            raise IrregularFileError(errno.EINVAL, f"{kind}, expected a file")

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, place: int, whence: int = os.SEEK_SET) -> int:
        starts = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._size}
        self._place = max(0, starts[whence] + place)
        return self._place

    def tell(self) -> int:
        return self._place

    def read(self, size: int | None = -1) -> bytes:
        rest = max(0, self._size - self._place)
        size = rest if size is None or size < 0 else min(size, rest)
        content = self._folder.read(SOURCE_PATHS, self._place, size) if size else b""
        self._place += len(content)
        return content


class _Opened:
    """The file, opened and checked: a context manager.

    Attributes:
        ends: Row after the last one of each group, int64, shape (groups,).
    """

    def __init__(self, folder: Folder, plan_id: str) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._path = folder.file(SOURCE_PATHS)
        try:
            self._source = _Source(folder)
            self._file: pq.ParquetFile = pq.ParquetFile(
                self._source, page_checksum_verification=True, pre_buffer=False
            )
        except (OSError, pa.ArrowException) as error:
            raise self.error(_reason(error)) from error
        metadata = self._file.metadata
        if (metadata.metadata or {}).get(_PLAN_ID) != plan_id.encode():
            raise self.error("is not of this dataset")
        groups = [metadata.row_group(group) for group in range(metadata.num_row_groups)]
        self.ends = np.cumsum([group.num_rows for group in groups], dtype=np.int64)
        largest = max((group.total_byte_size for group in groups), default=0)
        if self._file.schema_arrow != _schema(pa.string()) or largest > _MOST_GROUP_BYTES:
            raise self.error("is not as convert wrote it")

    def __enter__(self) -> _Opened:
        return self

    def __exit__(self, *_: object) -> None:
        self._source.close()

    def group(self, group: int) -> pa.Array:
        """Returns the paths of a group of rows."""
        import pyarrow as pa

        try:
            column = self._file.read_row_group(group, use_threads=False).column(0)
            return pa.concat_arrays(column.cast(pa.large_string()).chunks)
        except (OSError, pa.ArrowException) as error:
            raise self.error(_reason(error)) from error

    def error(self, problem: str) -> FormatError:
        """Returns the error of a file that cannot be used."""
        return FormatError(
            f"{self._path}: {problem}. Remove it: the dataset is whole without, but then only rows "
            "are named, no files."
        )


def _reason(error: Exception) -> str:
    """Returns what is wrong with a file, as the end of a sentence."""
    strerror = getattr(error, "strerror", None)  # Arrow's own errors have none
    return f"cannot be read: {strerror}" if strerror else "is damaged"
