"""The HDFS file systems that a process uses."""

from __future__ import annotations

import os
from collections.abc import Iterable

from convert.errors import UsageError
from convert.storage.hdfs.address import split_address
from convert.storage.hdfs.filesystem import HdfsFileSystem


class HdfsConnections:
    """Keeps one object for each HDFS, so that all who use it share its threads and connections.

    A process has one instance, in `places`: a path alone names a file system, in training too,
    and a process of Spark runs tasks of which none can hand its connections to the next.
    """

    def __init__(self) -> None:
        self._settings: dict[str, str] = {}
        self._open: dict[tuple[int, str], HdfsFileSystem] = {}

    def use_settings(self, settings: Iterable[tuple[str, str]]) -> None:
        """Gives Hadoop's settings to all file systems that are opened from now on.

        Args:
            settings: Names and values; they go before those of `HADOOP_CONF_DIR`.
        """
        self._settings.update(settings)

    def filesystem_of(self, path: str) -> HdfsFileSystem:
        """Returns the file system of an address.

        Raises:
            UsageError: hdfs-native is not installed or not told where, or was used before this
                process was forked.
        """
        key = os.getpid(), split_address(path)[0]
        if key not in self._open:
            if any(process != key[0] for process, _ in self._open):  # it would hang for ever
                raise UsageError(
                    f"{path}: this process was forked from one that uses HDFS, which hdfs-native "
                    "does not survive. Start it with multiprocessing's method 'spawn'."
                )
            self._open[key] = HdfsFileSystem(key[1], dict(self._settings))
        return self._open[key]
