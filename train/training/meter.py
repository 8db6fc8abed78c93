"""Measures the speed of an epoch of training."""

from __future__ import annotations

import resource
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from train.input.clock import InputClock


class EpochMeter:
    """Measures one epoch of training: images per second and the share of time spent waiting.

    Args:
        clock: Knows how long the model has waited for input.
        batch_size: Images of a step.

    Attributes:
        clock: That clock.
        steps: Steps of the epoch that are done.
        steps_before: Steps of the epochs before.
    """

    def __init__(self, clock: InputClock, batch_size: int) -> None:
        self.clock = clock
        self._batch_size = batch_size
        self.start()

    def start(
        self,
        steps_before: int = 0,
        steps: int = 0,
        seconds: float = 0.0,
        waited_seconds: float = 0.0,
    ) -> None:
        """Begins an epoch, or goes on in one of which a part is done.

        Args:
            steps_before: Steps of the epochs before.
            steps: Steps that are done.
            seconds: What they took.
            waited_seconds: What they waited for input.
        """
        self.steps_before, self.steps = steps_before, steps
        self._started = time.perf_counter() - seconds
        self._waited = self.clock.waited_seconds - waited_seconds
        self._ended: float | None = None

    @property
    def total_steps(self) -> int:
        """Steps of the run that are done."""
        return self.steps_before + self.steps

    def finish(self) -> None:
        """Ends the epoch: what comes now is no training."""
        self._ended = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Time since the epoch began; what passed between a stop and a resume is not in it."""
        now = time.perf_counter() if self._ended is None else self._ended
        return now - self._started

    @property
    def waited_seconds(self) -> float:
        """Time that the model waited for its batches."""
        return self.clock.waited_seconds - self._waited

    @property
    def images_per_second(self) -> float:
        """Images trained on in a second."""
        return self.steps * self._batch_size / max(self.seconds, 1e-9)

    @property
    def input_wait(self) -> float:
        """Share of the time in which the model waited for its next batch. In [0, 1]."""
        return self.share(self.waited_seconds)

    def share(self, seconds: float) -> float:
        """Returns what share of the epoch's time some seconds are. In [0, 1]."""
        return min(1.0, seconds / max(self.seconds, 1e-9))


def memory_bytes() -> int:
    """Returns this process' largest resident memory so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # Linux counts in KiB
