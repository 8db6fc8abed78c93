"""Limits something costly to a small share of the time."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator


class Budget:
    """Decides when something costly may be done again.

    What it decides hangs on the clock; so nothing may hang on it that a resumed run must repeat.

    Args:
        share: Of the time, at most. In (0, 1).
    """

    def __init__(self, share: float) -> None:
        self._share = share
        self._due = time.perf_counter()  # at once: nobody knows yet what it costs

    @property
    def is_due(self) -> bool:
        """Whether enough time has passed since the last time."""
        return time.perf_counter() >= self._due

    @contextlib.contextmanager
    def spending(self) -> Iterator[None]:
        """Times the costly work inside a `with` block."""
        started = time.perf_counter()
        yield
        ended = time.perf_counter()
        self._due = ended + (ended - started) / self._share
