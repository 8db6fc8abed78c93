"""Notices that a step takes far longer than any before."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

_TIMES = 10  # the slowest step
_COMPILED = 10  # times the least limit: minutes of compilation, of large networks on GPUs
_COMPILED_STEPS = 2  # JAX compiles once for what was made, and once for what a step returned
# Of a session. Devices work behind: until a loss was looked at, nobody knows what a step takes.
_FIRST_STEPS = 40


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
        self._first_steps, self._compiled_steps = _FIRST_STEPS, 0
        self._lock = threading.Lock()

    def begin(self) -> None:
        """Begins a step that may be compiled first."""
        with self._lock:
            self._compiled_steps = _COMPILED_STEPS
        self._start(is_usual=False)

    def step(self) -> None:
        """Ends a step and begins the next."""
        with self._lock:
            if self._began is not None and self._is_usual:
                self._slowest = max(self._slowest, time.monotonic() - self._began)
            self._compiled_steps = max(0, self._compiled_steps - 1)
            self._first_steps = max(0, self._first_steps - 1)
            is_usual = not self._compiled_steps
        self._start(is_usual=is_usual)

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
            is_slow = self._compiled_steps or self._first_steps
            least = self._least * (_COMPILED if is_slow else 1)
            if not others_busy:
                return seconds if seconds > max(least, _TIMES * self._slowest) else None
        self._start(is_usual=False)
        return None

    def _start(self, *, is_usual: bool) -> None:
        with self._lock:
            self._began, self._is_usual = time.monotonic(), is_usual
