"""Stopping on SIGTERM and Ctrl-C where it loses nothing: after a step, with a checkpoint."""

from __future__ import annotations

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
    allows them nowhere else. A second Ctrl-C ends the process at once.

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

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        # Schedulers send SIGTERM to a process and then to its group: the second is no hurry.
        if number == signal.SIGINT:
            if self.received == signal.SIGINT:
                raise KeyboardInterrupt
            os.write(2, _HINT)  # `print` may be what the signal interrupted
        self.received = signal.Signals(number)
