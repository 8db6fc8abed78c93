"""HDFS behind the interface of a file system, without Java."""

from __future__ import annotations

import contextlib
import errno
import os
import posixpath
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, wait
from itertools import islice
from typing import TYPE_CHECKING

from convert.errors import TryAgainError
from convert.storage.hdfs.address import path_of
from convert.storage.hdfs.client import HdfsClient
from convert.storage.hdfs.threads import Threads
from convert.storage.hdfs.writer import HdfsWriter
from convert.storage.interface import PIECE_BYTES, FileSystem, PassedOver, Status

if TYPE_CHECKING:
    from hdfs_native import Client, FileReader, FileStatus

_PIECES_AHEAD = 2  # one hides the caller's work, two also the wait for a DataNode's first bytes


class HdfsFileSystem(FileSystem):
    """The files of one HDFS; errors and messages are those of `FileSystem`.

    What fails for a passing reason for too long raises `UnavailableError`.

    Args:
        authority: `host:port`, or the name of a group of NameNodes; empty: `fs.defaultFS`.
        settings: Hadoop's, {name: value}; they go before those of `HADOOP_CONF_DIR`.

    Raises:
        UsageError: hdfs-native is not installed, or the settings name no such file system.
    """

    is_local = False

    def __init__(self, authority: str, settings: Mapping[str, str]) -> None:
        self._client = HdfsClient(authority, settings)
        self._threads = Threads("hdfs files")

    def read(self, path: str, start: int = 0, length: int | None = None) -> bytes:
        """Returns a part of a file; see `FileSystem`."""
        return self._client.call(path, lambda client: _read(client, path, start, length))

    def read_limited(self, path: str, limit: int | None) -> bytes:
        """Returns a file that is not too large.

        Args:
            path: The file.
            limit: Size in bytes above which it is not read. None: no limit.

        Raises:
            OSError: With EFBIG if it is larger; otherwise as `read`.
        """
        return self._client.call(path, lambda client: _read(client, path, 0, None, limit))

    def stream(self, path: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Yields a part of a file; the next pieces are on their way meanwhile."""
        file = self._open(path)
        place, end = start, len(file) if length is None else start + length
        while place < end:
            try:
                for piece in self._pieces(path, file, place, end):
                    place += len(piece)
                    yield piece
            except OSError:
                piece = self.read(path, place, min(PIECE_BYTES, end - place))  # with patience
                place += len(piece)
                yield piece
                file = self._open(path)

    def _open(self, path: str) -> FileReader:
        return self._client.call(path, lambda client: client.read(path_of(path)))

    def _pieces(self, path: str, file: FileReader, start: int, end: int) -> Iterator[bytes]:
        """Yields a part of an open file, to which nothing but its DataNodes is needed."""
        places = iter(range(start, end, PIECE_BYTES))
        pending: deque[Future[bytes]] = deque()
        while True:
            for place in islice(places, 1 + _PIECES_AHEAD - len(pending)):
                pending.append(self._begin(path, file, place, min(PIECE_BYTES, end - place)))
            if not pending:
                return
            yield self._client.finish(path, pending.popleft())

    def _begin(self, path: str, file: FileReader, start: int, length: int) -> Future[bytes]:
        return self._client.start(lambda _: _range(path, file, start, length))

    @contextlib.contextmanager
    def create(self, path: str) -> Iterator[HdfsWriter]:
        """Makes a new file; see `FileSystem`."""
        writer = HdfsWriter(self._client, path)
        try:
            yield writer
            writer.close()
            kept = self._status(path).size
            if kept != writer.size:
                raise OSError(errno.EIO, f"HDFS kept {kept} of {writer.size} bytes", path)
        except BaseException:
            # The file is never closed: that would complete it as it is.
            with contextlib.suppress(OSError, TryAgainError):
                self._client.once(path, lambda client: client.delete(path_of(path)))
            raise

    def replace(self, path: str, content: bytes) -> None:
        """Writes a small file whole or not at all; see `FileSystem`."""
        part = f"{path}.part-{uuid.uuid4().hex}"
        with self.create(part) as file:
            for start in range(0, len(content), PIECE_BYTES):  # each has its own time limit
                file.write(content[start : start + PIECE_BYTES])
        self._rename(part, path, overwrite=True)

    def together(self, *works: Callable[[], object]) -> None:
        """Does things at once; see `FileSystem`.

        The NameNode completes a file only when a DataNode has told it of the last block. Often it
        is asked too early, and then hdfs-native waits for half a second.
        """
        futures = [self._threads.start(work) for work in works]
        wait(futures)
        for future in futures:
            future.result()

    def publish(self, part: str, path: str) -> bool:
        """Moves a file to its name; see `FileSystem`."""
        try:
            self._rename(part, path, overwrite=False)
        except FileExistsError:
            self.remove(part)
            return False
        return True

    def move(self, folder: str, target: str) -> None:
        """Renames a folder; see `FileSystem`."""
        try:
            self._rename(folder, target, overwrite=False)
        except FileExistsError:
            try:  # the NameNode replaces an empty folder, and no other, in one step
                self._rename(folder, target, overwrite=True)
            except OSError as error:
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target) from error

    def _rename(self, source: str, target: str, *, overwrite: bool) -> None:
        tries = 0

        def rename(client: Client) -> None:
            nonlocal tries
            tries += 1
            try:
                client.rename(path_of(source), path_of(target), overwrite=overwrite)
            except FileNotFoundError:
                if tries == 1:
                    raise
                # The answer to an earlier try may have been lost: then the target is there.
                client.get_file_info(path_of(target))

        self._client.call(source, rename)

    def names(self, folder: str) -> list[str]:
        """Returns the names in a folder."""
        return [posixpath.basename(entry.path) for entry in self._list(folder)]

    def sizes(self, folder: str) -> dict[str, int]:
        """Returns the files in a folder and their sizes."""
        entries = self._list(folder)
        return {posixpath.basename(e.path): e.length for e in entries if not e.isdir}

    def files_below(
        self, folder: str, on_passed: Callable[[PassedOver], object] = lambda kind: None
    ) -> Iterator[str]:
        """Yields the paths of all files below a folder; see `FileSystem`."""
        above = [""]
        while above:
            inside = above.pop()
            for entry in self._list(f"{folder}/{inside}"):
                name = posixpath.basename(entry.path)
                if name.startswith("."):
                    on_passed("hidden")
                elif entry.isdir:
                    above.append(f"{inside}{name}/")
                else:
                    yield inside + name

    def _list(self, folder: str) -> list[FileStatus]:
        name = path_of(folder)

        def collect(client: Client) -> list[FileStatus]:
            return list(client.list_status(name))

        entries = self._client.call(folder, collect)
        if [entry.path for entry in entries] == [name]:
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), folder)
        return entries

    def status(self, path: str) -> Status | None:
        """Returns the status of a path; see `FileSystem`."""
        try:
            return self._status(path)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def _status(self, path: str) -> Status:
        found = self._client.call(path, lambda client: client.get_file_info(path_of(path)))
        modified = found.modification_time / 1000
        return Status(is_folder=found.isdir, size=found.length, modified=modified)

    def make_folder(self, path: str) -> None:
        """Makes a folder and those above it."""
        self._client.call(path, lambda client: client.mkdirs(path_of(path), create_parent=True))

    def remove(self, path: str) -> None:
        """Deletes a file or an empty folder, if there is one."""
        self._client.call(path, lambda client: client.delete(path_of(path)))

    def remove_tree(self, path: str) -> None:
        """Deletes a folder, as far as possible."""
        with contextlib.suppress(OSError):
            self._client.call(path, lambda client: client.delete(path_of(path), recursive=True))


def _read(
    client: Client, path: str, start: int, length: int | None, limit: int | None = None
) -> bytes:
    file = client.read(path_of(path))
    size = len(file)
    if limit is not None and size > limit:
        raise OSError(errno.EFBIG, f"{size} bytes are more than {limit}", path)
    return _range(path, file, start, size - start if length is None else length)


def _range(path: str, file: FileReader, start: int, length: int) -> bytes:
    if start + length > len(file):  # hdfs-native would panic
        raise OSError(errno.EIO, f"ends after {len(file)} bytes", path)
    content: bytes = file.read_range(start, length)
    return content
