"""Reading source files of HDFS: only files, only below the root."""

from __future__ import annotations

import errno

from convert.errors import ImageError, Reason, TryAgainError
from convert.hdfs import HdfsFileSystem
from convert.hdfs_address import split_address
from convert.source_reader import BAD_SOURCE, Reader, SourceReader
from convert.storage import absolute, filesystem_of, is_remote

_BAD_SOURCE: dict[int, tuple[Reason, str]] = {
    **BAD_SOURCE,
    errno.EINVAL: ("missing", "its path cannot be one of HDFS"),
    errno.EISDIR: ("not_a_file", "a folder, expected an image file"),
}


def open_sources(root: str, max_bytes: int | None = None) -> Reader:
    """Returns what reads the manifest's files below a root, wherever it is.

    Args:
        root: A local folder, or an address of HDFS.
        max_bytes: Size above which a file is refused unread. None: no limit.
    """
    return (HdfsSourceReader if is_remote(root) else SourceReader)(root, max_bytes)


class HdfsSourceReader:
    """Reads the manifest's files below one root.

    Args:
        root: The folder's address; paths that lead out of it are refused.
        max_bytes: Size above which a file is refused unread. None: no limit.
    """

    def __init__(self, root: str, max_bytes: int | None = None) -> None:
        self._max_bytes = max_bytes
        self._root = absolute(root)
        self._authority = split_address(root)[0]
        self._inside = self._root.rstrip("/") + "/"

    def read(self, path: str) -> bytes:
        """Returns a whole source file.

        Raises:
            ImageError: It is missing, no file, outside the root or unreadable.
            TryAgainError: HDFS failed for too long.
        """
        if "\0" in path:
            raise ImageError("missing", "its path has a null byte")
        if path.rpartition("/")[2] in ("", ".", ".."):
            raise ImageError("not_a_file", "a folder, expected an image file")
        whole = self._whole(path)
        files = filesystem_of(whole)
        assert isinstance(files, HdfsFileSystem)  # the root is an address
        try:
            return files.read_limited(whole, self._max_bytes)
        except OSError as error:
            if error.errno == errno.EFBIG:
                raise ImageError("too_large", str(error.strerror)) from error
            if error.errno in _BAD_SOURCE:
                raise ImageError(*_BAD_SOURCE[error.errno]) from error
            raise TryAgainError(
                f"{path}: cannot be read: {error.strerror}. Run the same command again."
            ) from error

    def _whole(self, path: str) -> str:
        """Returns the address of a path of the manifest."""
        if is_remote(path):
            whole = absolute(path)
        elif path.startswith("/"):
            whole = absolute(f"hdfs://{self._authority}{path}")
        else:
            whole = absolute(self._inside + path)
        if not whole.startswith(self._inside):
            raise ImageError("outside_root", "its path leads out of --root")
        return whole
