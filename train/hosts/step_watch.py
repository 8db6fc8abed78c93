"""Notices that a step takes far longer than any before."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

_TIMES = 10  # the slowest step
_COMPILED = 30  # times the least limit: minutes of compilation, of large networks on GPUs


class StepWatch:
    """Measures steps, and knows when one is overdue. One thread steps, another one asks.

    Args:
        least_seconds: What a step may take in any case.
    """

    def __init__(self, least_seconds: float) -> None:
        self._least = least_seconds
        self._slowest = 0.0
        self._began: float | None = None
        self._is_usual = False
        self._is_compiled = False
        self._lock = threading.Lock()

    def begin(self) -> None:
        """Begins a step that may be compiled first."""
        self._start(is_usual=False, is_compiled=True)

    def step(self) -> None:
        """Ends a step and begins the next."""
        with self._lock:
            if self._began is not None and self._is_usual:
                self._slowest = max(self._slowest, time.monotonic() - self._began)
        self._start(is_usual=True)

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Surrounds what is no step; the next one begins at its end."""
        with self._lock:
            self._began = None
        yield
        self._start(is_usual=False)

    def overdue(self, *, others_busy: bool) -> float | None:
        """Returns the seconds that the present step has taken, if those are too many.

        Args:
            others_busy: Whether it waits for what another process does between two steps.
        """
        with self._lock:
            if self._began is None:
                return None
            seconds = time.monotonic() - self._began
            least = self._least * (_COMPILED if self._is_compiled else 1)
            if not others_busy:
                return seconds if seconds > max(least, _TIMES * self._slowest) else None
        self._start(is_usual=False, is_compiled=self._is_compiled)
        return None

    def _start(self, *, is_usual: bool, is_compiled: bool = False) -> None:
        with self._lock:
            self._began = time.monotonic()
            self._is_usual, self._is_compiled = is_usual, is_compiled
