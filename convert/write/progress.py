"""Progress of a long job: a bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Any

from convert.command.command_line import LINE_SECONDS
from convert.write.summary import Progress


class ProgressReporter:
    """Shows rows done, rows left out, rate and time left on stderr.

    Args:
        total: Rows to do.
        done: Rows that an earlier run has done.
    """

    def __init__(self, total: int, done: int) -> None:
        from tqdm import tqdm

        self._total, self._start = total, done
        self._rows, self._bad = done, 0
        self._started = self._last_line = time.monotonic()
        self._terminal = sys.stderr.isatty()
        self._bar: Any = tqdm(
            total=total,
            initial=done,
            unit=" rows",
            desc="convert",
            dynamic_ncols=True,
            disable=not self._terminal,
        )

    def add(self, progress: Progress) -> None:
        """Counts work; shows it if it is time."""
        self._rows += progress.rows
        self._bad += progress.bad
        if self._terminal:
            self._bar.set_postfix_str(f"{self._bad} bad", refresh=False)
            self._bar.update(progress.rows)
        elif time.monotonic() - self._last_line >= LINE_SECONDS:
            self._last_line = time.monotonic()
            print(self._line(), file=sys.stderr, flush=True)

    def close(self) -> None:
        """Leaves the bar as it is and ends its line."""
        self._bar.close()

    def _line(self) -> str:
        rate = (self._rows - self._start) / max(time.monotonic() - self._started, 1e-9)
        left = (self._total - self._rows) / rate if rate else float("inf")
        return (
            f"convert: {self._rows:,} of {self._total:,} rows, {self._bad:,} bad, "
            f"{rate:,.0f} rows/s, {left:,.0f} s left"
        )
