"""Progress of a prediction: a bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

from collections.abc import Callable

from convert.command.progress import ProgressBar


class ReadingProgress:
    """Counts images and shows them on stderr.

    Args:
        total: Images to read. None: not known.
        say: Prints a line that stays.
        quiet: Draw no bar, since the results come on the same terminal.

    Attributes:
        errors: Images that could not be read.
    """

    def __init__(self, total: int | None, say: Callable[[str], None], *, quiet: bool) -> None:
        self._bar = ProgressBar(
            total, say, hidden=quiet, unit=" images", desc="predict", leave=False
        )
        self.errors = 0

    def add(self, images: int, errors: int) -> None:
        """Counts work; shows it if it is time."""
        self.errors += errors
        self._bar.add(images, self._line)

    @property
    def images(self) -> int:
        """Images done, bad ones included."""
        return self._bar.done

    def close(self) -> None:
        """Takes the bar away, so that what is said next has a line of its own."""
        self._bar.close()

    def summary(self) -> str:
        """Returns the last line: images, rate and errors."""
        line = f"{self.images:,} images in {self._bar.seconds:.1f} s, {self._rate()}"
        return line + (f", {self.errors:,} could not be read; see `error`" if self.errors else "")

    def _line(self) -> str:
        of = "" if self._bar.total is None else f" of {self._bar.total:,}"
        return f"{self.images:,}{of} images, {self.errors:,} errors, {self._rate()}"

    def _rate(self) -> str:
        return f"{self._bar.rate:,.0f} images/s"
