"""Reading the windows of an epoch from disk before their records are asked for.

Records are asked for at random, disks are fast in sequence. So what a window needs is read in the
order in which it lies, by a thread, while the records of the window before it are used. The
memory of what lies behind is given back.
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading
import weakref
from collections import Counter
from collections.abc import Iterator

from convert.dataset.mapping import forget
from train.records.forks import renew_in_forks
from train.records.order import RecordOrder, Span
from train.records.reading.reader import RecordReader
from train.records.reading.shards import ShardFile

# One request reads no more than the device's read-ahead, which is 128 KiB by default on Linux.
_REQUEST_BYTES = 128 << 10

Place = tuple[int, int]  # epoch, window


class ReadAhead:
    """Reads windows ahead, as batches of them are made.

    Args:
        reader: Has the shards.
        order: Tells what the windows hold.
        first_shard: The reader's number of the order's first shard.
    """

    def __init__(self, reader: RecordReader, order: RecordOrder, first_shard: int = 0) -> None:
        self._reader, self._order, self._first_shard = reader, order, first_shard
        self._lock = threading.Lock()
        self._wanted: list[Place] = []  # the window in use and the one that is read ahead
        self._users: Counter[Place] = Counter()  # batches of a window that are being made
        self._requests: queue.SimpleQueue[list[tuple[ShardFile, int, int]]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        renew_in_forks(self)

    def after_fork(self) -> None:
        """Begins anew in a forked process, where no thread reads and no batch is being made."""
        self._lock = threading.Lock()
        self._wanted = []
        self._users.clear()
        self._requests = queue.SimpleQueue()
        self._thread = None

    @contextlib.contextmanager
    def using(self, epoch: int, position: int) -> Iterator[None]:
        """Surrounds the making of a batch; costs nothing in the window of the last one.

        Args:
            epoch: In [0, 2**32).
            position: Where in the epoch the batch starts.
        """
        place = (epoch, self._order.window_of(position))
        with self._lock:
            self._users[place] += 1
            self._enter(place)
        try:
            yield
        finally:
            with self._lock:
                self._users[place] -= 1
                self._leave_behind()

    def _enter(self, place: Place) -> None:
        """Asks for a window and the next one, unless they were asked for."""
        if self._wanted[:1] == [place]:
            return
        wanted = [place]
        if self._order.num_windows > 1:
            wanted.append(self._next(place))
        for new in wanted:
            if new not in self._wanted:
                self._request(new)
        for old in self._wanted:
            if old not in wanted:
                self._forget(old)
        self._wanted = wanted

    def _leave_behind(self) -> None:
        """Gives back the memory of windows that no batch is made of any more."""
        # Once more: while other threads still read there, each page that they touch maps many.
        done = [place for place, users in self._users.items() if not users]
        for place in done:
            if place not in self._wanted:
                del self._users[place]
                self._forget(place)

    def _next(self, place: Place) -> Place:
        epoch, window = place
        return (epoch, window + 1) if window + 1 < self._order.num_windows else (epoch + 1, 0)

    def _request(self, place: Place) -> None:
        """Lets the thread read a window."""
        ranges = [
            (self._reader.files[self._first_shard + span.shard], *self._byte_range(span))
            for span in self._order.window_spans(*place)
        ]
        if self._thread is None:
            self._thread = threading.Thread(
                target=_serve, args=(self._requests,), name="read ahead", daemon=True
            )
            self._thread.start()
            weakref.finalize(self, self._requests.put, [])  # an empty request ends the thread
        self._requests.put(ranges)

    def _forget(self, old: Place) -> None:
        """Gives back the memory of a window; what is needed again comes back when it is read."""
        if self._order.num_windows == 1:  # the next epoch needs it at once
            return
        for span in self._order.window_spans(*old):
            start, stop = self._byte_range(span)
            forget(self._reader.memory(self._first_shard + span.shard)[start:stop])

    def _byte_range(self, span: Span) -> tuple[int, int]:
        return self._reader.byte_range(self._first_shard + span.shard, span.start, span.stop)


def _serve(requests: queue.SimpleQueue[list[tuple[ShardFile, int, int]]]) -> None:
    """Reads what is asked for, until it is asked for nothing."""
    while ranges := requests.get():
        for file, start, stop in ranges:
            # What cannot be read ahead is read when it is used, and told then.
            with contextlib.suppress(OSError):
                _read_ahead(file, start, stop)


def _read_ahead(file: ShardFile, start: int, stop: int) -> None:
    descriptor = file.folder.open(file.shard.file)
    try:
        read_ahead(descriptor, start, stop)
    finally:
        os.close(descriptor)


def read_ahead(descriptor: int, start: int, stop: int) -> None:
    """Asks the system to read a part of a file into its cache; waits while the disk is busy.

    Args:
        descriptor: Of the file.
        start: The first byte.
        stop: One past the last byte.
    """
    if not hasattr(os, "posix_fadvise"):  # macOS
        return
    for offset in range(start, stop, _REQUEST_BYTES):
        length = min(_REQUEST_BYTES, stop - offset)
        os.posix_fadvise(descriptor, offset, length, os.POSIX_FADV_WILLNEED)
