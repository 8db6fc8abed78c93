"""A file that is being written to HDFS."""

from __future__ import annotations

from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from convert.storage.hdfs.address import path_of
from convert.storage.hdfs.client import HdfsClient
from convert.storage.interface import WRITE_BYTES

if TYPE_CHECKING:
    from hdfs_native import Client


class HdfsWriter:
    """A file of HDFS that is being written; `create` makes and completes it.

    Args:
        client: Of its file system.
        path: The file; it must not exist.

    Attributes:
        size: Bytes written so far.
    """

    def __init__(self, client: HdfsClient, path: str) -> None:
        self._client, self._path = client, path
        self._buffer = bytearray()
        self._pending: Future[Any] | None = None
        self.size = 0
        tries = 0

        def create(client: Client) -> Any:
            from hdfs_native import WriteOptions

            nonlocal tries
            tries += 1
            # A second try may meet the file of the first one, whose answer was lost.
            options = WriteOptions(overwrite=tries > 1, create_parent=False)
            return client.create(path_of(path), options)

        self._file = client.call(path, create)

    def write(self, content: bytes, /) -> None:
        """Adds bytes at the end.

        Raises:
            OSError: They, or those before them, could not be written.
        """
        self._buffer += content
        self.size += len(content)
        if len(self._buffer) >= WRITE_BYTES:
            self._send()

    def _send(self) -> None:
        """Begins to write the buffer, when what was sent before has been written."""
        self._wait()
        content, self._buffer = bytes(self._buffer), bytearray()
        self._pending = self._client.start(lambda client: self._file.write(content))

    def _wait(self) -> None:
        if self._pending is not None:
            self._client.finish(self._path, self._pending)
            self._pending = None

    def close(self) -> None:
        """Completes the file."""
        if self._buffer:
            self._send()
        self._wait()
        self._client.once(self._path, lambda client: self._file.close())
