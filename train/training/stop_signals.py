"""Stops on SIGTERM and Ctrl-C without a loss: after a step, with a checkpoint."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Self

NAMES = {signal.SIGTERM: "SIGTERM", signal.SIGINT: "Ctrl-C"}

_HINT = b"\ntrain: stopping after this step; Ctrl-C again stops at once\n"


class StopSignals:
    """Notes that somebody wants training to end; whoever trains looks here after each step.

    Handlers are in place inside a `with` block only, and only in the main thread, since Python
    allows them nowhere else. A second Ctrl-C, and a signal that comes after the last step, do
    what they did before: the command ends.

    Attributes:
        received: The signal, or None.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._earlier: dict[signal.Signals, object] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in NAMES:
                self._earlier[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._earlier.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        if self.received is not None and error is None:  # it came after the last look
            signal.raise_signal(self.received)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        # Schedulers send SIGTERM to a process and then to its group: the second is no hurry.
        if number == signal.SIGINT:
            if self.received == signal.SIGINT:
                self._end(signal.SIGINT)
                return
            with contextlib.suppress(OSError):  # stderr may be full
                os.write(2, _HINT)  # `print` may be what the signal interrupted
        self.received = signal.Signals(number)

    def _end(self, number: signal.Signals) -> None:
        """Does what the signal did before there was this object: the command ends."""
        signal.signal(number, self._earlier[number])  # type: ignore[arg-type]
        signal.raise_signal(number)
