"""Threads that fetch shards: first those that a reader waits for, then those needed later."""

from __future__ import annotations

import contextlib
import os
import threading
import time
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
    """Brings shards, several at once. Its threads keep it alive: whoever made it ends it.

    Args:
        bring: Returns a descriptor of a shard; told whether somebody waits for it. If nobody
            does, it may return None.
        number: Threads.
    """

    def __init__(self, bring: Bring, number: int) -> None:
        self._bring, self._number = bring, number
        self._threads: list[threading.Thread] = []
        self._changed = threading.Condition()  # guards all of the following
        self._needed: deque[int] = deque()  # shards that somebody waits for, not begun
        self._later: deque[int] = deque()  # shards that will be needed, not begun
        self._running: set[int] = set()  # shards that are being brought
        self._wanted: dict[int, Future[Fetched]] = {}  # what those who wait for a shard will get
        self._waiting: Counter[int] = Counter()  # how many wait for it
        self._ended = False

    def need(self, shard: int) -> Future[Fetched]:
        """Returns a descriptor of a shard to be; all who ask before it is there get the same.

        Each of them waits for it, or gives it up.
        """
        with self._changed:
            self._start()
            future = self._wanted.get(shard)
            if future is None:
                future = self._wanted[shard] = Future()
                with contextlib.suppress(ValueError):
                    self._later.remove(shard)
                if shard not in self._running:
                    self._needed.append(shard)
                    self._changed.notify()
            self._waiting[shard] += 1
            return future

    def give_up(self, shard: int, future: Future[Fetched]) -> bool:
        """Waits for a shard no longer; returns False if it is there, or has failed, already."""
        with self._changed:
            if self._wanted.get(shard) is not future:  # others may wait for it once more
                return False
            self._waiting[shard] -= 1
            if not self._waiting[shard]:
                self._forget(shard)
                with contextlib.suppress(ValueError):
                    self._needed.remove(shard)
            return True

    def ahead(self, shards: Sequence[int]) -> None:
        """Sets the shards that will be needed, in this order, in place of earlier ones."""
        with self._changed:
            self._start()
            self._later = deque(shards)
            self._changed.notify_all()

    def end(self, on_end: Callable[[], None]) -> None:
        """Ends the threads.

        Args:
            on_end: Called to end what is under way.
        """
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        on_end()
        deadline = time.monotonic() + _END_SECONDS
        for thread in self._threads:
            with contextlib.suppress(RuntimeError):  # it is this one
                thread.join(max(0.0, deadline - time.monotonic()))

    def _start(self) -> None:
        while len(self._threads) < self._number:
            thread = threading.Thread(target=self._serve, name="fetch", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self) -> None:
        while (taken := self._take()) is not None:
            shard, needed = taken
            try:
                descriptor = self._bring(shard, needed)
            except BaseException as error:
                # Raised in those who need it; if nobody does yet, it is tried again when one does.
                self._failed(shard, error)
                continue
            self._done(shard, descriptor)
            if descriptor is None and not needed:
                self._pause(shard)

    def _take(self) -> tuple[int, bool] | None:
        """Returns the next shard, and whether somebody waits for it; None at the end."""
        with self._changed:
            while not self._ended:
                while self._needed or self._later:
                    needed = bool(self._needed)
                    shard = (self._needed or self._later).popleft()
                    if needed or not (shard in self._running or shard in self._wanted):
                        self._running.add(shard)
                        return shard, needed
                self._changed.wait()
            return None

    def _done(self, shard: int, descriptor: int | None) -> None:
        """Hands a shard over to those who wait for it."""
        with self._changed:
            self._running.discard(shard)
            future = self._wanted.get(shard)
            if future is not None and descriptor is not None:
                self._forget(shard)
                future.set_result(Fetched(descriptor))
            elif future is not None and self._ended:
                self._forget(shard)
                future.set_exception(TryAgainError("the cache was closed meanwhile."))
            elif future is not None:  # it was asked for while it was brought ahead
                self._needed.append(shard)
                self._changed.notify()
            elif descriptor is not None:
                os.close(descriptor)

    def _failed(self, shard: int, error: BaseException) -> None:
        """Raises an error in those who wait for a shard that cannot be fetched."""
        with self._changed:
            self._running.discard(shard)
            future = self._wanted.get(shard)
            self._forget(shard)
            if future is not None:
                future.set_exception(error)

    def _forget(self, shard: int) -> None:
        """Lets nobody wait for a shard."""
        self._wanted.pop(shard, None)
        self._waiting.pop(shard, None)

    def _pause(self, shard: int) -> None:
        """Waits for a while, or until something is needed; then the shard is tried again."""
        with self._changed:
            self._later.appendleft(shard)
            if not self._needed and not self._ended:
                self._changed.wait(_IDLE_SECONDS)
