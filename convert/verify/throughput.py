"""Progress of a check of many bytes: a bar on a terminal, a plain line elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Any

from convert.command.command_line import LINE_SECONDS


class Throughput:
    """Shows bytes done, findings, rate and time left on stderr.

    Args:
        total: Bytes to do.
    """

    def __init__(self, total: int) -> None:
        from tqdm import tqdm

        self._total = total
        self._bytes = self._findings = 0
        self._started = self._last_line = time.monotonic()
        self._terminal = sys.stderr.isatty()
        self._bar: Any = tqdm(
            total=total,
            unit="B",
            unit_scale=True,
            desc="verify",
            dynamic_ncols=True,
            disable=not self._terminal,
        )

    def add(self, num_bytes: int) -> None:
        """Counts bytes; shows them if it is time."""
        self._bytes += num_bytes
        if self._terminal:
            self._bar.set_postfix_str(f"{self._findings:,} findings", refresh=False)
            self._bar.update(num_bytes)
        elif time.monotonic() - self._last_line >= LINE_SECONDS:
            self._last_line = time.monotonic()
            print(self._line(), file=sys.stderr, flush=True)

    def found(self, findings: int) -> None:
        """Counts findings; they are shown with the next bytes."""
        self._findings += findings

    def close(self) -> None:
        """Leaves the bar as it is and ends its line."""
        self._bar.close()

    def _line(self) -> str:
        rate = self._bytes / max(time.monotonic() - self._started, 1e-9)
        left = (self._total - self._bytes) / rate if rate else float("inf")
        return (
            f"convert: verified {self._bytes / 1e9:,.1f} of {self._total / 1e9:,.1f} GB, "
            f"{self._findings:,} findings, {rate / 1e6:,.0f} MB/s, {left:,.0f} s left"
        )
