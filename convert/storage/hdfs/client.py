"""Calls to one HDFS: with a time limit each, tried again where that may help.

`hdfs-native` itself waits minutes for a NameNode that refuses, and for ever for a DataNode that
hangs. So a plain TCP connection is tried first, and its calls run in threads that can be given up.
(Its asynchronous client, which could be cancelled, panics where a connection is made again.)
"""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import TYPE_CHECKING, TypeVar

from convert.errors import UsageError
from convert.storage.hdfs.error_translation import PassingError, UnavailableError, translate
from convert.storage.hdfs.settings import default_authority, namenodes, read_settings
from convert.storage.hdfs.threads import Threads
from convert.storage.heap import keep_freed_memory

if TYPE_CHECKING:
    from hdfs_native import Client

Result = TypeVar("Result")
Call = Callable[["Client"], Result]

RETRY_SECONDS = "SHARDFEED_HDFS_RETRY_SECONDS"
"""The environment variable that says for how long a call is tried again; 120 by default."""

_CALL_SECONDS = 60.0  # of one answer: what takes longer hangs
_LOOK_SECONDS = 3.0  # without an answer, until the NameNode is looked for
_CONNECT_SECONDS = 3.0
_FIRST_SECONDS = 15.0  # an address that never answered is more likely wrong than restarting
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0


class HdfsClient:
    """Runs calls to one HDFS; threads may share it, forked processes not.

    Args:
        authority: `host:port`, or the name of a group of NameNodes; empty: `fs.defaultFS`.
        settings: Hadoop's, {name: value}; they go before those of `HADOOP_CONF_DIR`.

    Raises:
        UsageError: hdfs-native is not installed, or the settings name no such file system.
    """

    def __init__(self, authority: str, settings: Mapping[str, str]) -> None:
        _require_library()
        self._settings = dict(settings)
        settings = {**read_settings(), **settings}
        authority = authority or default_authority(settings)
        self._namenodes = namenodes(authority, settings)
        if f"dfs.ha.namenodes.{authority}" not in settings:
            authority = "{}:{}".format(*self._namenodes[0])  # hdfs-native knows no default port
        self._authority = authority
        self._seconds = _retry_seconds()
        self._has_answered = False
        self._client: Client | None = None
        self._threads = Threads("hdfs")
        keep_freed_memory()

    def call(self, path: str, call: Call[Result]) -> Result:
        """Makes a call, again and again while it fails for a reason that may pass.

        Args:
            path: What it is about, for messages.
            call: Takes the client; must be harmless if it is made twice.

        Raises:
            OSError: It failed for good; the errno is that of a local disk.
            UnavailableError: It failed for a passing reason for too long.
        """
        started, pause = time.monotonic(), _FIRST_PAUSE
        while True:
            try:
                return self.once(path, call)
            except PassingError as error:
                limit = self._seconds if self._has_answered else min(self._seconds, _FIRST_SECONDS)
                if time.monotonic() + pause - started > limit:
                    raise UnavailableError(
                        f"{path}: HDFS fails: {error.strerror}. "
                        "Once it works again, run the same command again."
                    ) from error
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def once(self, path: str, call: Call[Result]) -> Result:
        """Makes a call that is not tried again.

        Raises:
            OSError: It failed; a `PassingError` for a reason that may pass.
        """
        return self.finish(path, self.start(call))

    def start(self, call: Call[Result]) -> Future[Result]:
        """Begins a call, for `finish` to wait for."""
        return self._threads.start(lambda: call(self._connected()))

    def finish(self, path: str, started: Future[Result]) -> Result:
        """Returns the result of a call; it fails as `once` does."""
        try:
            result = self._wait(started)
        except Exception as error:
            failure = translate(error, path)
            if isinstance(failure, PassingError):
                self._client = None  # its connections may be dead
            raise failure from error
        self._has_answered = True
        return result

    def _wait(self, started: Future[Result]) -> Result:
        """Waits for a call, as long as there is hope."""
        end = time.monotonic() + _CALL_SECONDS
        while True:
            try:
                return started.result(min(_LOOK_SECONDS, _CALL_SECONDS))
            except TimeoutError:
                if started.done():  # its own
                    return started.result()
            if time.monotonic() > end:
                raise PassingError(errno.EIO, "no answer in time")
            self._require_namenode()  # where it is gone, hdfs-native would go on for minutes

    def _connected(self) -> Client:
        """Returns the client; a new one if a NameNode can be reached."""
        client = self._client
        if client is None:
            from hdfs_native import Client

            self._require_namenode()
            client = Client(f"hdfs://{self._authority}", self._settings or None)
            self._client = client
        return client

    def _require_namenode(self) -> None:
        """Raises `PassingError` unless a NameNode accepts connections."""
        problems = []
        for host, port in self._namenodes:
            try:
                socket.create_connection((host, port), _CONNECT_SECONDS).close()
                return
            except OSError as error:
                problems.append(f"{host}:{port}: {(error.strerror or str(error)).lower()}")
        raise PassingError(errno.EIO, f"no NameNode answers ({'; '.join(problems)})")


def _require_library() -> None:
    try:
        import hdfs_native  # noqa: F401
    except ImportError as error:
        raise UsageError(
            "hdfs:// addresses need hdfs-native: pip install 'shardfeed[hdfs]'."
        ) from error


def _retry_seconds() -> float:
    text = os.environ.get(RETRY_SECONDS, "120")
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise UsageError(f"{RETRY_SECONDS} must be a number of seconds, got {text!r}.")
    return seconds
