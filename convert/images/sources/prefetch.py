"""Source files in row order, read ahead by threads where files are slow."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

from convert.errors import ImageError
from convert.images.sources.reader import Reader

READ_THREADS = 16
"""Small files on a slow disk are bound by latency: so many reads are under way at once."""

SLOW_READ_SECONDS = 0.0003
"""Per file; below it (page cache) handing files between threads costs more than it hides."""

_AHEAD_FILES = 2 * READ_THREADS
_AHEAD_BYTES = 64 << 20  # bounds the memory of a worker where files are large
_TRIAL_FILES = 16  # read one after the other, to see how fast files come
_SLOW_SHARE = 0.25  # of them: more is no accident
_AHEAD_RUN = 4096  # files until the next trial, which costs a slow disk a few per cent of that time

Content = bytes | ImageError | MemoryError
"""A file, or why there is none."""


class SourceStream:
    """The content of files, in order.

    Args:
        reader: Reads one file.
        paths: Their paths as the manifest spells them.

    Attributes:
        wait_seconds: Time that the caller has waited for files.
    """

    def __init__(self, reader: Reader, paths: list[str]) -> None:
        self._reader = reader
        self._paths = paths
        self._num_read = self._read_bytes = 0
        self.wait_seconds = 0.0

    def __iter__(self) -> Iterator[Content]:
        """Yields each file's content, or why it has none.

        Raises:
            TryAgainError: A file could not be read for a passing reason.
        """
        paths = iter(self._paths)
        while group := list(islice(paths, _TRIAL_FILES)):
            num_slow = 0
            for path in group:
                started = time.perf_counter()
                content = self._read(path)
                num_slow += self._count(content, started) > SLOW_READ_SECONDS
                yield content
            # One or two may be slow because the core had something else to do.
            if num_slow >= _SLOW_SHARE * len(group):
                yield from self._read_ahead(islice(paths, _AHEAD_RUN))

    def _count(self, content: Content, started: float) -> float:
        """Notes that a file has come; returns how long it was waited for."""
        seconds = time.perf_counter() - started
        self.wait_seconds += seconds
        self._num_read += 1
        self._read_bytes += len(content) if isinstance(content, bytes) else 0
        return seconds

    def _read(self, path: str) -> Content:
        try:
            return self._reader.read(path)
        except (ImageError, MemoryError) as error:
            return error

    def _read_ahead(self, paths: Iterator[str]) -> Iterator[Content]:
        """Yields the content of files that threads read ahead."""
        pending: deque[Future[Content]] = deque()
        with ThreadPoolExecutor(READ_THREADS) as pool:
            try:
                while True:
                    for path in islice(paths, max(0, self._room() - len(pending))):
                        pending.append(pool.submit(self._read, path))
                    if not pending:
                        return
                    started = time.perf_counter()
                    content = pending.popleft().result()
                    self._count(content, started)
                    yield content
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def _room(self) -> int:
        """Returns how many files may be under way, by the mean size of those read so far."""
        mean_bytes = max(1, self._read_bytes // self._num_read)
        return max(2, min(_AHEAD_FILES, _AHEAD_BYTES // mean_bytes))
