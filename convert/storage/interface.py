"""What the converter asks of a place that keeps files: a local disk or HDFS.

All paths are whole: absolute or relative ones of a local disk, `hdfs://` addresses otherwise.
Failures are `OSError` with the errno that a local disk would give.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Literal, Protocol

PassedOver = Literal["hidden", "linked"]
"""What is left out where a folder is searched for files."""

WRITE_BYTES = 1 << 20  # small writes are slow on network disks
PIECE_BYTES = 4 << 20  # of a file that is streamed


@dataclass(frozen=True, slots=True)
class Status:
    """The kind, size and time of what is at a path.

    Attributes:
        is_folder: Whether it is a folder.
        size: Bytes of a file; 0 for a folder.
        modified: When it was written, in seconds since 1970; not compared.
    """

    is_folder: bool
    size: int
    modified: float = field(default=0.0, compare=False)


class Writer(Protocol):
    """A file that is being written."""

    def write(self, content: bytes, /) -> object:
        """Adds bytes at the end."""


class FileSystem(ABC):
    """A place that keeps files. Its objects may be shared by threads, not by forked processes.

    Attributes:
        is_local: Whether paths can be opened and mapped by this process.
    """

    is_local: bool

    @abstractmethod
    def read(self, path: str, start: int = 0, length: int | None = None) -> bytes:
        """Returns a part of a file, by default all of it.

        Args:
            path: The file.
            start: The first byte. In [0, size].
            length: Bytes. None: up to the end.

        Raises:
            OSError: It is missing, a folder, shorter than asked for, or cannot be read.
        """

    @abstractmethod
    def stream(self, path: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Yields a part of a file in pieces of at most `PIECE_BYTES`; by default all of it.

        Args:
            path: The file.
            start: The first byte. In [0, size].
            length: Bytes. None: up to the end.

        Raises:
            OSError: It is missing, a folder, shorter than asked for, or cannot be read.
        """

    @abstractmethod
    def create(self, path: str) -> AbstractContextManager[Writer]:
        """Makes a new file, whose folder exists.

        The file is complete and safe on its disks when the `with` block is left; if by an
        exception, there is no file. It has its name at once: give it one that nobody looks for,
        and `publish` it afterwards.

        Raises:
            OSError: It exists, or not all of it could be written.
        """

    @abstractmethod
    def replace(self, path: str, content: bytes) -> None:
        """Writes a small file that is there whole or not at all, in an older one's place.

        Raises:
            OSError: It could not be written; an older one is as it was.
        """

    @abstractmethod
    def together(self, *works: Callable[[], object]) -> None:
        """Does things that do not depend on each other: at once, where each mostly waits.

        Args:
            works: They complete or replace files of this file system.

        Raises:
            Exception: The first of theirs, in their order, when all that were begun have ended.
        """

    @abstractmethod
    def publish(self, part: str, path: str) -> bool:
        """Moves a finished file to its final name, never over another.

        Returns:
            False, and the part is gone, if the name was taken.

        Raises:
            OSError: There is no such part or folder.
        """

    @abstractmethod
    def move(self, folder: str, target: str) -> None:
        """Renames a folder in one step. Replaces an empty folder.

        Raises:
            FileExistsError: The name is taken.
            OSError: There is no such folder.
        """

    @abstractmethod
    def names(self, folder: str) -> list[str]:
        """Returns the names in a folder.

        Raises:
            OSError: There is no such folder.
        """

    @abstractmethod
    def sizes(self, folder: str) -> dict[str, int]:
        """Returns the names of the files in a folder, links left out, and their bytes.

        Raises:
            OSError: There is no such folder.
        """

    @abstractmethod
    def files_below(
        self, folder: str, on_passed: Callable[[PassedOver], object] = lambda kind: None
    ) -> Iterator[str]:
        """Yields the paths of all files below a folder, relative to it, in any order.

        Args:
            folder: The folder.
            on_passed: Called for what is passed over: each file or folder whose name starts with
                a dot, and each link to a folder, which might lead back.

        Raises:
            OSError: A folder cannot be listed.
        """

    @abstractmethod
    def status(self, path: str) -> Status | None:
        """Returns the status of a path, links followed; None if nothing is there."""

    @abstractmethod
    def make_folder(self, path: str) -> None:
        """Makes a folder and those above it, unless they exist.

        Raises:
            OSError: It cannot be made, or is a file.
        """

    @abstractmethod
    def remove(self, path: str) -> None:
        """Deletes a file or an empty folder, if there is one."""

    @abstractmethod
    def remove_tree(self, path: str) -> None:
        """Deletes a folder with all that is in it, as far as possible."""

    def exists(self, path: str) -> bool:
        """Returns whether a path exists."""
        return self.status(path) is not None

    def is_folder(self, path: str) -> bool:
        """Returns whether there is a folder of that name."""
        status = self.status(path)
        return status is not None and status.is_folder
