"""Reading source files of HDFS: only files, only inside the fence."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

from convert.errors import ImageError, Reason, UsageError
from convert.images.sources.file_versions import Stamp
from convert.images.sources.reader import (
    BAD_SOURCE,
    Answer,
    Reader,
    RootReader,
    SourceReader,
    Stamps,
    bad_name,
    require_file_name,
)
from convert.os_errors import kind_of
from convert.storage.hdfs.address import SCHEME, split_address
from convert.storage.hdfs.filesystem import HdfsFileSystem
from convert.storage.places import absolute, filesystem_of, is_remote

_BAD_SOURCE: dict[int, tuple[Reason, str]] = {
    **BAD_SOURCE,
    errno.EINVAL: ("missing", "its path cannot be one of HDFS"),
    errno.EISDIR: ("not_a_file", "a folder, expected an image file"),
}


def open_sources(
    root: str,
    max_bytes: int | None = None,
    allow: tuple[str, ...] = (),
    stamps: Stamps | None = None,
) -> Reader:
    """Returns a reader of the manifest's files below a root, local or on HDFS.

    Args:
        root: A local folder, or an address of HDFS.
        max_bytes: Size above which a file is refused unread. None: no limit.
        allow: What `allowed_folders` returns.
        stamps: Gets the stamp of each file that is read, by its path; from several threads.
    """
    return (HdfsSourceReader if is_remote(root) else SourceReader)(root, max_bytes, allow, stamps)


def allowed_folders(root: str, allow: tuple[str, ...]) -> tuple[str, ...]:
    """Returns the folders of `--allow` as they mean the same everywhere, sorted.

    Args:
        root: A local folder, or an address of HDFS.
        allow: As the user named them.

    Raises:
        UsageError: One is no folder, or not kept where the root is.
    """
    return tuple(sorted({_allowed(root, folder) for folder in allow}))


def _allowed(root: str, folder: str) -> str:
    whole = folder
    if not is_remote(root):
        if is_remote(folder):
            raise UsageError(
                f"--allow {folder}: an address, but --root is a folder of this machine, whose "
                "paths and links lead nowhere else. Leave it out."
            )
        whole = os.path.realpath(folder) if folder else ""
    elif folder == "/":
        return SCHEME  # every HDFS
    elif folder.startswith("/"):
        whole = absolute(f"{SCHEME}{split_address(root)[0]}{folder}")
    elif not is_remote(folder):
        raise UsageError(
            f"--allow {folder}: no address, but --root is on HDFS. "
            "Write hdfs://HOST:PORT/PATH, or /PATH for the same HDFS."
        )
    if not filesystem_of(whole).is_folder(whole):
        raise UsageError(
            f"--allow {folder}: no such folder. Name a folder that paths and links may lead into."
        )
    return absolute(whole)


class HdfsSourceReader(RootReader):
    """Reads files of HDFS; see `RootReader`.

    A stamp that is noted down has no time: to ask for it would be a call of the NameNode a file.
    """

    def _resolved(self, root: str, allow: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
        self._authority = split_address(root)[0]
        return absolute(root), allow

    def read(self, path: str) -> bytes:
        """Returns a whole file; see `Reader`."""
        require_file_name(path)
        content = self._look(path, lambda files, whole: files.read_limited(whole, self._max_bytes))
        self._note(path, (len(content), 0))
        return content

    def stamp(self, path: str, began: float) -> Stamp | None:
        """Returns a file's stamp; see `Reader`. A file that is newer has another one."""
        try:
            require_file_name(path)
            status = self._look(path, lambda files, whole: files.status(whole))
        except ImageError:
            return None
        if status is None or status.is_folder:
            return None
        if self._max_bytes is not None and status.size > self._max_bytes:
            return None  # reading it notes down nothing
        return status.size, 0 if status.modified < began else int(status.modified * 1e9)

    def _stands(self, path: str) -> bool:
        return self._look(path, lambda files, whole: files.exists(whole))

    def _look(self, path: str, look: Callable[[HdfsFileSystem, str], Answer]) -> Answer:
        """Looks at a file; what speaks against it becomes an error."""
        _require_name(path)
        whole = self._whole(path)
        files = filesystem_of(whole)
        assert isinstance(files, HdfsFileSystem)  # the root is an address
        try:
            return look(files, whole)
        except OSError as error:
            if error.errno == errno.EFBIG:
                raise ImageError("too_large", str(error.strerror)) from error
            if error.errno in _BAD_SOURCE:
                raise ImageError(*_BAD_SOURCE[error.errno]) from error
            raise kind_of(error)(
                f"{path}: cannot be read: {error.strerror}. Run the same command again."
            ) from error

    def _whole(self, path: str) -> str:
        """Returns the address of a path of the manifest."""
        if is_remote(path):
            whole = absolute(path)
        elif path.startswith("/"):
            whole = absolute(f"{SCHEME}{self._authority}{path}")
        else:
            whole = absolute(f"{self._root.rstrip('/')}/{path}")
        if not self._admits(whole):
            if split_address(whole)[0] != self._authority:
                raise ImageError(
                    "outside_root", "leads to another HDFS; --allow ADDRESS lets its folder in"
                )
            raise self._refusal(whole)
        return whole


def _require_name(path: str) -> None:
    """Raises unless a path can be one of HDFS."""
    if "\0" in path:
        raise ImageError("missing", "its path has a null byte")
    try:
        path.encode()
    except UnicodeEncodeError as error:
        raise bad_name(error) from error
