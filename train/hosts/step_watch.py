"""Notices that a step takes far longer than any before."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

_TIMES = 10  # the slowest step
_FIRST = 30  # times the least limit: the first step is compiled, which takes minutes


class StepWatch:
    """Measures steps, and knows when one is overdue. One thread steps, another one asks.

    Args:
        least_seconds: What a step may take in any case.
    """

    def __init__(self, least_seconds: float) -> None:
        self._least = least_seconds
        self._slowest: float | None = None
        self._began: float | None = None
        self._is_disturbed = False
        self._lock = threading.Lock()

    def step(self) -> None:
        """Called when a step is done."""
        now = time.monotonic()
        with self._lock:
            if self._began is not None and not self._is_disturbed:
                self._slowest = max(now - self._began, self._slowest or 0.0)
            self._began, self._is_disturbed = now, False

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Surrounds what is no step; the next one begins at its end."""
        with self._lock:
            self._began = None
        yield
        with self._lock:
            self._began, self._is_disturbed = time.monotonic(), False

    def overdue(self, *, others_busy: bool) -> float | None:
        """Returns the seconds that the present step has taken, if those are too many.

        Args:
            others_busy: Whether it waits for what another process does between two steps.
        """
        with self._lock:
            if self._began is None:
                return None
            if others_busy:
                self._began, self._is_disturbed = time.monotonic(), True
                return None
            seconds = time.monotonic() - self._began
            return seconds if seconds > self._limit else None

    @property
    def _limit(self) -> float:
        if self._slowest is None:
            return _FIRST * self._least
        return max(self._least, _TIMES * self._slowest)
