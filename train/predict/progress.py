"""Progress of a prediction: a bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from convert.command.command_line import LINE_SECONDS


class ReadingProgress:
    """Counts images and shows them on stderr.

    Args:
        total: Images to read. None: not known.
        say: Prints a line that stays.
        quiet: Draw no bar, since the results come on the same terminal.

    Attributes:
        images: Images done, bad ones included.
        errors: Images that could not be read.
    """

    def __init__(self, total: int | None, say: Callable[[str], None], *, quiet: bool) -> None:
        from tqdm import tqdm

        self._total, self._say = total, say
        self.images = self.errors = 0
        self._started = self._shown = time.monotonic()
        self._terminal = sys.stderr.isatty()
        self._bar: Any = tqdm(
            total=total,
            unit=" images",
            desc="predict",
            dynamic_ncols=True,
            leave=False,
            disable=quiet or not self._terminal,
        )

    def add(self, images: int, errors: int) -> None:
        """Counts work; shows it if it is time."""
        self.images += images
        self.errors += errors
        self._bar.update(images)
        if not self._terminal and time.monotonic() - self._shown >= LINE_SECONDS:
            self._shown = time.monotonic()
            of = "" if self._total is None else f" of {self._total:,}"
            self._say(f"{self.images:,}{of} images, {self.errors:,} errors, {self._rate()}")

    def close(self) -> None:
        """Takes the bar away, so that what is said next has a line of its own."""
        self._bar.close()

    def summary(self) -> str:
        """Returns the last line: images, rate and errors."""
        seconds = time.monotonic() - self._started
        line = f"{self.images:,} images in {seconds:.1f} s, {self._rate()}"
        return line + (f", {self.errors:,} could not be read; see `error`" if self.errors else "")

    def _rate(self) -> str:
        rate = self.images / max(time.monotonic() - self._started, 1e-9)
        return f"{rate:,.0f} images/s"
