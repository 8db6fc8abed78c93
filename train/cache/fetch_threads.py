"""Threads that fetch shards: first those that a reader waits for, then those needed later."""

from __future__ import annotations

import contextlib
import os
import threading
import time
import weakref
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from train.errors import TryAgainError

_IDLE_SECONDS = 0.5  # from one look for room to the next
_END_SECONDS = 2.0  # a thread that copies looks up after each piece

Bring = Callable[[int, bool], int | None]


class Fetched:
    """A shard that was brought, for the first of those who waited for it.

    Args:
        descriptor: Its file.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    def take(self) -> int | None:
        """Returns its file, which is the caller's then; None if another one has taken it."""
        descriptor, self._descriptor = self._descriptor, None
        return descriptor


class Streams:
    """Brings shards, several at once.

    Args:
        bring: Returns a descriptor of a shard; told whether somebody waits for it. If nobody
            does, it may return None.
        number: Threads.
        on_end: Called to end what is under way.
    """

    def __init__(self, bring: Bring, number: int, on_end: Callable[[], None]) -> None:
        self._work = _Work()
        self._bring, self._number = bring, number
        self._threads: list[threading.Thread] = []
        # The threads know the work only, so that they end with the last user of this object.
        self._end = weakref.finalize(self, _end, self._work, self._threads, on_end)

    def need(self, shard: int) -> Future[Fetched]:
        """Returns a descriptor of a shard to be; all who ask before it is there get the same.

        Each of them waits for it, or gives it up.
        """
        with self._work.changed:
            self._start()
            future = self._work.wanted.get(shard)
            if future is None:
                future = self._work.wanted[shard] = Future()
                with contextlib.suppress(ValueError):
                    self._work.later.remove(shard)
                if shard not in self._work.running:
                    self._work.needed.append(shard)
                    self._work.changed.notify()
            self._work.waiting[shard] += 1
            return future

    def give_up(self, shard: int, future: Future[Fetched]) -> bool:
        """Waits for a shard no longer; returns False if it is there, or has failed, already."""
        with self._work.changed:
            if self._work.wanted.get(shard) is not future:  # others may wait for it once more
                return False
            self._work.waiting[shard] -= 1
            if not self._work.waiting[shard]:
                self._work.forget(shard)
                with contextlib.suppress(ValueError):
                    self._work.needed.remove(shard)
            return True

    def ahead(self, shards: Sequence[int]) -> None:
        """Sets the shards that will be needed, in this order, in place of earlier ones."""
        with self._work.changed:
            self._start()
            self._work.later = deque(shards)
            self._work.changed.notify_all()

    def close(self) -> None:
        """Ends the threads."""
        self._end()

    def _start(self) -> None:
        if self._threads:
            return
        for _ in range(self._number):
            thread = threading.Thread(
                target=_serve, args=(self._work, self._bring), name="fetch", daemon=True
            )
            self._threads.append(thread)
            thread.start()


class _Work:
    """What is to be brought.

    Attributes:
        changed: Guards all of it, and tells of more.
        needed: Shards that somebody waits for, not begun.
        later: Shards that will be needed, not begun.
        running: Shards that are being brought.
        wanted: What those who wait for a shard will get.
        waiting: How many wait for it.
        ended: Whether nothing is to be done any more.
    """

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.needed: deque[int] = deque()
        self.later: deque[int] = deque()
        self.running: set[int] = set()
        self.wanted: dict[int, Future[Fetched]] = {}
        self.waiting: Counter[int] = Counter()
        self.ended = False

    def take(self) -> tuple[int, bool] | None:
        """Returns the next shard, and whether somebody waits for it; None at the end."""
        with self.changed:
            while not self.ended:
                if self.needed:
                    return self._begin(self.needed.popleft(), True)
                while self.later:
                    shard = self.later.popleft()
                    if shard not in self.running and shard not in self.wanted:
                        return self._begin(shard, False)
                self.changed.wait()
            return None

    def _begin(self, shard: int, needed: bool) -> tuple[int, bool]:
        self.running.add(shard)
        return shard, needed

    def done(self, shard: int, descriptor: int | None) -> None:
        """Hands a shard over to those who wait for it."""
        with self.changed:
            self.running.discard(shard)
            future = self.wanted.get(shard)
            if future is not None and descriptor is not None:
                self.forget(shard)
                future.set_result(Fetched(descriptor))
            elif future is not None and self.ended:
                self.forget(shard)
                future.set_exception(TryAgainError("the cache was closed meanwhile."))
            elif future is not None:  # it was asked for while it was brought ahead
                self.needed.append(shard)
                self.changed.notify()
            elif descriptor is not None:
                os.close(descriptor)

    def failed(self, shard: int, error: BaseException) -> None:
        """Raises an error in those who wait for a shard that cannot be fetched."""
        with self.changed:
            self.running.discard(shard)
            future = self.wanted.get(shard)
            self.forget(shard)
            if future is not None:
                future.set_exception(error)

    def forget(self, shard: int) -> None:
        """Lets nobody wait for a shard."""
        self.wanted.pop(shard, None)
        self.waiting.pop(shard, None)

    def pause(self, shard: int) -> None:
        """Waits for a while, or until something is needed; then the shard is tried again."""
        with self.changed:
            self.later.appendleft(shard)
            if not self.needed and not self.ended:
                self.changed.wait(_IDLE_SECONDS)


def _serve(work: _Work, bring: Bring) -> None:
    while (taken := work.take()) is not None:
        shard, needed = taken
        try:
            descriptor = bring(shard, needed)
        except BaseException as error:
            # Told to those who need it; if nobody does yet, it is tried again when somebody does.
            work.failed(shard, error)
            continue
        work.done(shard, descriptor)
        if descriptor is None and not needed:
            work.pause(shard)


def _end(work: _Work, threads: Sequence[threading.Thread], on_end: Callable[[], None]) -> None:
    with work.changed:
        work.ended = True
        work.changed.notify_all()
    on_end()
    deadline = time.monotonic() + _END_SECONDS
    for thread in threads:
        with contextlib.suppress(RuntimeError):  # it is this one
            thread.join(max(0.0, deadline - time.monotonic()))
