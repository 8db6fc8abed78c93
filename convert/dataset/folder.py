"""A folder that stays the same while it is read: all files opened in it are of one dataset.

`convert --overwrite` gives the name of a dataset's folder to another folder. Whoever opens each
file by its path may then read the description of the one and the shards of the other, and no
size and no CRC tells. So a local folder is opened once and its files relative to it
(`local_folder`). HDFS has no such thing: there the description's size and time tell afterwards
whether it is another one (`hdfs_folder`).
"""

from __future__ import annotations

import contextlib
import errno
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator

from convert.dataset.mapping import REPAIR, Bytes
from convert.errors import FormatError, ReplacedError, ShardfeedError, TryAgainError, UsageError
from convert.storage.lines import MOST_BYTES, lines_of, require_at_most, sha256_of


class Folder(ABC):
    """A folder that is read. Threads may share it; a copy in another process is the same folder.

    Failures are `OSError` with the errno that a local disk would give.

    Attributes:
        path: The folder as the user named it.
        is_local: Whether its files can be opened and mapped by this process.
    """

    path: str
    is_local: bool

    def file(self, name: str) -> str:
        """Returns the path of a file, for messages."""
        return os.path.join(self.path, name)

    @abstractmethod
    def open(self, name: str, flags: int = os.O_RDONLY) -> int:
        """Opens a regular file of this machine; returns a descriptor.

        Raises:
            OSError: It cannot be opened, or the folder is on HDFS.
        """

    @abstractmethod
    def read(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        """Returns a part of a file; see `FileSystem.read`."""

    @abstractmethod
    def stream(self, name: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Yields a part of a file in pieces; see `FileSystem.stream`."""

    @abstractmethod
    def map(self, name: str, size: int) -> Bytes:
        """Maps a file into memory, or reads it where it cannot be mapped.

        Args:
            name: The file.
            size: What it must be, in bytes.

        Returns:
            Its content, uint8, shape (size,), read-only.

        Raises:
            FormatError: It is missing, cannot be read, or has another size.
        """

    @abstractmethod
    def names(self) -> list[str]:
        """Returns the names of all that is in the folder."""

    @abstractmethod
    def sizes(self) -> dict[str, int]:
        """Returns the names of its files, links left out, and their bytes."""

    @abstractmethod
    def look(self, name: str) -> tuple[str, int]:
        """Returns the kind of a file, as `a link`, "" for a regular one; and its bytes.

        Raises:
            OSError: It is missing, also a link that leads nowhere, or may not be looked at.
        """

    @abstractmethod
    def is_folder(self, name: str) -> bool:
        """Returns whether a folder stands under a name, links followed."""

    @abstractmethod
    def is_link(self, name: str) -> bool:
        """Returns whether a link stands under a name."""

    @abstractmethod
    def change(self) -> ShardfeedError | None:
        """Returns the error of a folder that lost its name since it was opened.

        Returns:
            None if it still has it.
        """

    @abstractmethod
    def require_current(self) -> None:
        """Checks that what was read so far is of the folder that was opened.

        Raises:
            ReplacedError: It may be of another one, that took its name.
        """

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Replaces an error by the reason for it, where the folder was replaced meanwhile."""
        try:
            yield
        except ShardfeedError as error:
            if isinstance(error, TryAgainError | UsageError):
                raise
            changed = self.change()
            if changed is not None:
                raise changed from error
            raise

    def read_text(self, name: str, most_bytes: int = MOST_BYTES) -> bytes:
        """Returns a whole file, unless it is too large to be what it should be.

        Raises:
            OSError: It cannot be read, or has more bytes.
        """
        with contextlib.suppress(FileNotFoundError):  # reading it tells more
            require_at_most(self.look(name)[1], most_bytes, self.file(name))
        return self.read(name)

    def lines(self, name: str) -> Iterator[bytes]:
        """Yields a file's lines, each with its end; only a part is in memory.

        Raises:
            OSError: It cannot be read.
        """
        return lines_of(self.stream(name), self.file(name))

    def sha256(self, name: str) -> str:
        """Returns a file's digest in hexadecimal.

        Raises:
            OSError: It cannot be read.
        """
        return sha256_of(self.stream(name))


def require_size(folder: Folder, name: str, size: int) -> None:
    """Raises `FormatError` unless a file of HDFS has its size, in bytes."""
    path = folder.file(name)
    try:
        kind, found = folder.look(name)
    except OSError as error:
        raise unreadable(path, error) from error
    if kind:
        raise unreadable(path, IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR)))
    if found != size:
        raise FormatError(f"{path}: {found} bytes, expected {size}. {REPAIR}")


def unreadable(path: str, error: OSError) -> FormatError:
    """Returns the error of a dataset's file that cannot be read."""
    return FormatError(f"{path}: cannot be read: {error.strerror}. {REPAIR}")


def replaced(path: str) -> ReplacedError:
    """Returns the error of a dataset whose name another one has now."""
    return ReplacedError(
        f"{path}: was replaced by another dataset while it was read. Run the same command again."
    )
