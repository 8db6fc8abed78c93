"""The losses of the last steps, looked at together: whoever reads one waits for its step."""

from __future__ import annotations

import math
from typing import Any

import keras

LOOK_STEPS = 10
"""From one look at the loss to the next, which waits for the device; curves look as often."""


class RecentLosses:
    """The losses since the last look, as scalars that may still be on the device.

    Keras tells the mean of an epoch so far, which is no number any more once a loss was none. So
    the newest tells of all, and the others are read only to find the first bad one.
    """

    def __init__(self) -> None:
        self._noted: list[Any] = []

    def note(self, loss: Any) -> None:
        """Keeps the mean loss after a step."""
        self._noted.append(loss)

    def are_finite(self) -> bool:
        """Returns whether all since the last look are numbers; waits for the newest."""
        return not self._noted or math.isfinite(float(self._noted[-1]))

    def look(self) -> tuple[int, float] | None:
        """Looks at all of them, and forgets them.

        Returns:
            Steps since the first that is no number, 0 for the newest, and what it is. None: all
            are numbers.
        """
        noted, is_good, self._noted = self._noted, self.are_finite(), []
        if is_good:
            return None
        losses = [float(loss) for loss in noted]
        first = next(index for index, loss in enumerate(losses) if not math.isfinite(loss))
        return len(losses) - 1 - first, losses[first]


class UnreadLogs(keras.callbacks.CallbackList):
    """Hands on what Keras tells of a step as it is, where Keras would fetch all of it."""

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Calls all callbacks."""
        for callback in self.callbacks:
            callback.on_train_batch_end(batch, logs)
