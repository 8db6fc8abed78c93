"""Measures the time that training waits for its input, around the fetch itself.

Keras fetches a batch inside its training function, after the callbacks of the step have begun, so
no callback can see the wait.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np


@dataclass(slots=True)
class InputClock:
    """How long the consumer of a dataset has waited for its batches.

    Attributes:
        waited_seconds: Sum over all batches so far.
    """

    waited_seconds: float = 0.0
    _asked: float = field(default=0.0, repr=False)

    def ask(self, _: object = None) -> np.int64:
        """Called when the consumer asks for a batch."""
        self._asked = time.perf_counter()
        return np.int64(0)

    def got(self, _: object = None) -> np.int64:
        """Called when the batch is there."""
        self.waited_seconds += time.perf_counter() - self._asked
        return np.int64(0)
