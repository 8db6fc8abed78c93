"""Reading source files safely: only regular files, only inside the fence."""

from __future__ import annotations

import errno
import functools
import os
import posixpath
import stat
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Protocol, TypeVar

from convert.errors import ImageError, Reason, TryAgainError
from convert.images.sources.file_versions import Stamp
from convert.os_errors import failure, passes
from convert.storage.interface import WRITE_BYTES

_READ_TRIES = 3

Answer = TypeVar("Answer")

Stamps = dict[str, Stamp]
"""{path as it was read: size and time of the file that was read}."""

BAD_SOURCE: dict[int, tuple[Reason, str]] = {
    errno.ENOENT: ("missing", "no such file"),
    errno.ENOTDIR: ("missing", "a folder of its path is a file"),
    errno.ENAMETOOLONG: ("missing", "its path is too long"),
    errno.EACCES: ("unreadable", "permission denied"),
    errno.EPERM: ("unreadable", "permission denied"),
    errno.ELOOP: ("not_a_file", "its links form a loop"),
    errno.ENXIO: ("not_a_file", "a socket or a device without a reader"),
}
"""What says that a source cannot be read, and will not be: the reason, and what to tell."""


def bad_name(error: ValueError) -> ImageError:
    """Returns why there can be no file of a name that the system does not even take."""
    if isinstance(error, UnicodeEncodeError) and is_text(error.object):
        encoding = sys.getfilesystemencoding()
        return ImageError(
            "unreadable",
            f"its path has characters that the locale's encoding, {encoding}, does not; "
            "set LC_ALL=C.UTF-8",
        )
    if isinstance(error, UnicodeError):
        return ImageError("missing", "its path is no valid Unicode")
    return ImageError("missing", "its path has a null byte")


def names_folder(path: str) -> bool:
    """Returns whether a path can only be a folder's."""
    return path.rpartition("/")[2] in ("", ".", "..")


def require_file_name(path: str) -> None:
    """Raises `ImageError` for a path that can only be a folder's."""
    if names_folder(path):
        raise ImageError("not_a_file", "a folder, expected an image file")


def is_text(path: str) -> bool:
    """Returns whether a path can be written as Unicode, which lone surrogates cannot."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


class Reader(Protocol):
    """Reads the manifest's files below one root."""

    def read(self, path: str) -> bytes:
        """Returns a whole source file.

        Raises:
            ImageError: It is missing, no file, outside the fence or unreadable.
            TryAgainError: It could not be read for a passing reason.
        """

    def is_there(self, path: str) -> bool:
        """Returns whether anything stands under a path, without reading it.

        Raises:
            ImageError: It is outside the fence.
            TryAgainError: It could not be found out for a passing reason.
        """

    def stamp(self, path: str, began: float) -> Stamp | None:
        """Returns the stamp that reading a file would note down, without reading it.

        Args:
            path: As the manifest spells it.
            began: When it was read before, in seconds since 1970.

        Returns:
            None if no file is there that may be read. Where times are not noted down by reading,
            0 stands for one before `began`.

        Raises:
            TryAgainError: It could not be found out for a passing reason.
        """


class RootReader(ABC):
    """Reads the manifest's files below one root; see `Reader`.

    Args:
        root: The folder, or its address; paths and links that lead out of it are refused.
        max_bytes: Size above which a file is refused unread. None: no limit.
        allow: Further folders that they may lead into, of the same kind.
        stamps: Gets the stamp of each file that is read, by its path; from several threads.
    """

    def __init__(
        self,
        root: str,
        max_bytes: int | None = None,
        allow: tuple[str, ...] = (),
        stamps: Stamps | None = None,
    ) -> None:
        self._max_bytes = max_bytes
        self._stamps = stamps
        self._root, allow = self._resolved(root, allow)
        self._inside = tuple(folder.rstrip("/") + "/" for folder in (self._root, *allow))

    @abstractmethod
    def _resolved(self, root: str, allow: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
        """Returns the root and the further folders without links."""

    @abstractmethod
    def _stands(self, path: str) -> bool:
        """Returns whether anything stands under a path; raises as `Reader.read` does."""

    def is_there(self, path: str) -> bool:
        """Returns whether anything stands under a path; see `Reader`."""
        try:
            return self._stands(path)
        except ImageError as error:
            if error.reason == "outside_root":
                raise
            return error.reason != "missing"

    def _admits(self, path: str) -> bool:
        """Returns whether a path, whole and without links, may be read."""
        return path.startswith(self._inside)

    def _refusal(self, path: str) -> ImageError:
        """Returns the error for a path that leads out; it names no place of this machine.

        Args:
            path: Whole; on the same file system as the root.
        """
        seen = posixpath.relpath(path, self._root)
        return ImageError(
            "outside_root",
            f"leads out of --root, to {seen} from there; --allow DIR lets a further folder in",
        )

    def _note(self, path: str, stamp: Stamp) -> None:
        if self._stamps is not None:
            self._stamps[path] = stamp


class SourceReader(RootReader):
    """Reads files of this machine; see `RootReader`."""

    def _resolved(self, root: str, allow: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
        # Resolving a folder costs a system call a component; a manifest has few folders.
        self._folder = functools.lru_cache(maxsize=4096)(self._resolve)
        return os.path.realpath(root), tuple(map(os.path.realpath, allow))

    def read(self, path: str) -> bytes:
        """Returns a whole regular file; see `Reader`."""
        return self._patiently(path, self._read)

    def stamp(self, path: str, began: float) -> Stamp | None:
        """Returns a file's stamp; see `Reader`. A file's time says all, whenever it was read."""
        try:
            _, status = self._patiently(path, self._locate)
        except ImageError:
            return None
        return _stamp(status) if stat.S_ISREG(status.st_mode) else None

    def _stands(self, path: str) -> bool:
        return self._patiently(path, self._exists)

    def _exists(self, path: str) -> bool:
        try:
            self._locate(path)
        except FileNotFoundError:  # the usual answer, and the fastest
            return False
        return True

    def _patiently(self, path: str, look: Callable[[str], Answer]) -> Answer:
        """Looks at a file, several times while the disk fails."""
        for attempt in range(_READ_TRIES):
            try:
                return look(path)
            except ValueError as error:
                raise bad_name(error) from error
            except OSError as error:
                if error.errno in BAD_SOURCE:
                    raise ImageError(*BAD_SOURCE[error.errno]) from error
                met = error
                time.sleep(0.1 * 4**attempt)
        if not passes(met):
            again = "run the same command again"
            raise failure(met, f"{path}: cannot be read", again) from met
        raise TryAgainError(
            f"{path}: cannot be read: {met.strerror}. Run the same command again."
        ) from met

    def _locate(self, path: str) -> tuple[str, os.stat_result]:
        """Returns where a path of the manifest leads to, inside the fence, and what is there."""
        require_file_name(path)
        folder, slash, name = path.rpartition("/")
        resolved, is_inside = self._folder(folder + slash)
        full = resolved + name
        if not is_inside:
            raise self._refusal(full)
        status = os.lstat(full)
        if stat.S_ISLNK(status.st_mode):
            full = os.path.realpath(full)
            if not self._admits(full):
                raise self._refusal(full)
            status = os.lstat(full)
        return full, status

    def _read(self, path: str) -> bytes:
        full, status = self._locate(path)
        self._require_file(status)  # before it is opened: opening a device can act on it
        try:
            descriptor = os.open(full, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            self._note(path, _stamp(status))
            raise
        try:
            status = os.fstat(descriptor)
            self._require_file(status)
            # Before it is read: its time tells what is written meanwhile.
            self._note(path, _stamp(status))
            if self._max_bytes is not None and status.st_size > self._max_bytes:
                raise ImageError(
                    "too_large", f"{status.st_size} bytes are more than {self._max_bytes}"
                )
            return _read_all(descriptor, status.st_size)
        finally:
            os.close(descriptor)

    def _resolve(self, folder: str) -> tuple[str, bool]:
        """Returns a folder without links, with a slash at its end, and whether it is inside."""
        resolved = os.path.join(os.path.realpath(os.path.join(self._root, folder)), "")
        return resolved, self._admits(resolved)

    @staticmethod
    def _require_file(status: os.stat_result) -> None:
        if not stat.S_ISREG(status.st_mode):
            kind = "a folder" if stat.S_ISDIR(status.st_mode) else "a pipe, socket or device"
            kind = "a link to itself" if stat.S_ISLNK(status.st_mode) else kind
            raise ImageError("not_a_file", f"{kind}, expected an image file")


def _stamp(status: os.stat_result) -> Stamp:
    return status.st_size, status.st_mtime_ns


def _read_all(descriptor: int, size: int) -> bytes:
    """Returns the rest of a file that is expected to have `size` bytes."""
    data = os.read(descriptor, size + 1)
    if len(data) == size:
        return data  # one byte more was asked for: this is the end
    pieces = [data]
    while pieces[-1]:
        pieces.append(os.read(descriptor, WRITE_BYTES))
    return b"".join(pieces)
