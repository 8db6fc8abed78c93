"""The file `sources.parquet`: written a part at a time, and read by parts, each of them checked."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from convert.dataset.folder import Folder
from convert.dataset.info import SOURCE_PATHS
from convert.errors import FormatError
from convert.storage.interface import Writer
from convert.storage.regular_files import IrregularFileError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

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
        column_encoding={"row": "DELTA_BINARY_PACKED", "path": "PLAIN"},
        write_statistics=False,
        write_page_checksum=True,
        store_schema=False,
    ) as writer:
        for start in range(0, len(paths), _GROUP_ROWS):
            part = paths[start : start + _GROUP_ROWS]
            rows = pa.array(np.arange(start, start + len(part)))
            batch = pa.record_batch([rows, part], schema)
            writer.write_batch(batch, row_group_size=_GROUP_ROWS)
        writer.add_key_value_metadata({_PLAN_ID: plan_id.encode()})
    return FileDigest(sink.tell(), sink.sha256)


def _schema(text: pa.DataType) -> pa.Schema:
    import pyarrow as pa

    row = pa.field("row", pa.int64(), nullable=False)
    return pa.schema([row, pa.field("path", text, nullable=False)])


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


class PathTable:
    """The file, opened and checked: a context manager.

    Args:
        folder: The dataset's folder.
        plan_id: The plan's digest, which the file must have.

    Raises:
        FormatError: The file is gone, damaged or of another dataset.

    Attributes:
        ends: Row after the last one of each group, int64, shape (groups,).
    """

    def __init__(self, folder: Folder, plan_id: str) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._path = folder.file(SOURCE_PATHS)
        with self._telling():
            self._source = _Source(folder)
            self._file: pq.ParquetFile = pq.ParquetFile(
                self._source, page_checksum_verification=True, pre_buffer=False
            )
            metadata, schema = self._file.metadata, self._file.schema_arrow
            groups = [metadata.row_group(group) for group in range(metadata.num_row_groups)]
        if (metadata.metadata or {}).get(_PLAN_ID) != plan_id.encode():
            raise self.error("is not of this dataset")
        self.ends = np.cumsum([group.num_rows for group in groups], dtype=np.int64)
        is_ours = schema == _schema(pa.string()) and all(
            group.num_rows >= 0 and 0 <= group.total_byte_size <= _MOST_GROUP_BYTES
            for group in groups
        )
        if not is_ours:
            raise self.error("is not as convert wrote it")

    def __enter__(self) -> PathTable:
        return self

    def __exit__(self, *_: object) -> None:
        self._source.close()

    def group(self, group: int) -> pa.Array:
        """Returns the paths of a group of rows, large_string."""
        import pyarrow as pa

        start, end = int(self.ends[group - 1]) if group else 0, int(self.ends[group])
        with self._telling():
            table = self._file.read_row_group(group, use_threads=False)
            paths = table.column("path").cast(pa.large_string()).combine_chunks()
            paths.validate(full=True)  # that they are UTF-8
            rows = table.column("row").to_numpy()
        # Pages have CRCs, but what says where they are has none.
        expected = np.arange(start, start + len(rows))
        if len(paths) != end - start or not np.array_equal(rows, expected):
            raise self.error("is damaged")
        return paths

    @contextlib.contextmanager
    def _telling(self) -> Iterator[None]:
        """Turns what a file that cannot be read raises into one line."""
        import pyarrow as pa

        try:
            yield
        except (OSError, ValueError, MemoryError, pa.ArrowException) as error:
            strerror = getattr(error, "strerror", None)  # errors about the content have none
            problem = f"cannot be read: {strerror}" if strerror else "is damaged"
            raise self.error(problem) from error

    def error(self, problem: str) -> FormatError:
        """Returns the error of a file that cannot be used."""
        return FormatError(
            f"{self._path}: {problem}. Remove it: the dataset is whole without, but then only rows "
            "are named, no files."
        )
