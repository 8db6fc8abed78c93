"""Progress of a long job: a bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

LINE_SECONDS = 30.0  # between plain lines


class ProgressBar:
    """Counts what is done and shows it on stderr; its callers say in which words.

    Args:
        total: Things to do. None: not known.
        say: Prints a plain line.
        done: Things that an earlier run has done.
        hidden: Draw no bar: results come on the same terminal.
        look: What tqdm calls `desc`, `unit` and the like.

    Attributes:
        total: Things to do.
        done: Things that are done.
    """

    def __init__(
        self,
        total: int | None,
        say: Callable[[str], None],
        *,
        done: int = 0,
        hidden: bool = False,
        **look: Any,
    ) -> None:
        from tqdm import tqdm

        self.total, self.done = total, done
        self._say, self._start = say, done
        self._started = self._shown = time.monotonic()
        self._terminal = sys.stderr.isatty()
        look |= {"total": total, "initial": done, "disable": hidden or not self._terminal}
        self._bar: Any = tqdm(dynamic_ncols=True, **look)

    def add(
        self, count: int, line: Callable[[], str], postfix: Callable[[], str] | None = None
    ) -> None:
        """Counts work; shows it if it is time.

        Args:
            count: Things that were done since the last call; below 0 if they are done again.
            line: Returns the plain line.
            postfix: Returns what stands behind the bar.
        """
        self.done += count
        if self._terminal:
            if postfix is not None:
                self._bar.set_postfix_str(postfix(), refresh=False)
            self._bar.update(count)
        elif time.monotonic() - self._shown >= LINE_SECONDS:
            self._shown = time.monotonic()
            self._say(line())

    def note(self, text: str) -> None:
        """Shows what happens before anything is done: behind the bar, or as a plain line."""
        if self._terminal:
            self._bar.set_postfix_str(text)
        else:
            self._say(text)

    @property
    def room(self) -> int | None:
        """Columns of the terminal behind the bar, once it is moved. None: nobody knows."""
        from tqdm.utils import disp_len

        look = {**self._bar.format_dict, "n": self.done, "postfix": None}
        columns: int | None = look["ncols"]
        return columns and columns - disp_len(self._bar.format_meter(**look)) - len(", ")

    @property
    def seconds(self) -> float:
        """Time since the start."""
        return time.monotonic() - self._started

    @property
    def rate(self) -> float:
        """Things a second."""
        return (self.done - self._start) / max(self.seconds, 1e-9)

    @property
    def seconds_left(self) -> float:
        """Time that the rest will take at this rate; infinite if nothing is done, or no total."""
        rest = float("inf") if self.total is None else self.total - self.done
        return rest / rate if (rate := self.rate) else float("inf")

    def close(self) -> None:
        """Ends the bar's line; with `leave=False` takes the bar away."""
        self._bar.close()
