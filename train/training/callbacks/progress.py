"""The progress line of training."""

from __future__ import annotations

import time
from collections.abc import Mapping

from convert.command.byte_sizes import show_bytes
from convert.command.progress import ProgressBar
from train.runs.history import Row
from train.training.meter import memory_bytes
from train.training.session_state import Logs, Session

_FALL_FIRST = (
    "memory", "rate", "input wait", "characters", "exact", "loss", "speed", "time left",
)  # fmt: skip


class ProgressLine:
    """Prints the progress of training: rewrites one line on a terminal, else adds one at times."""

    def __init__(self, session: Session) -> None:
        self._session, self._meter = session, session.meter
        self._epochs, self._steps = session.job.config.epochs, session.job.training.num_steps
        self._epoch = 0
        self._timed_steps = -1  # the first step of a process takes long: it builds the graph
        self._started = time.monotonic()
        self._bar: ProgressBar | None = None

    def on_epoch_begin(self, epoch: int) -> None:
        """Opens the epoch's bar before its first step, which in a new session takes long."""
        self._epoch = epoch
        self._bar = ProgressBar(
            self._steps,
            self._session.say,
            done=self._meter.steps,
            desc=f"epoch {epoch + 1}/{self._epochs}",
            unit="step",
            leave=False,
            bar_format="{desc} {bar:10} {n_fmt}/{total_fmt}{postfix}",
        )
        if self._timed_steps < 0 and self._meter.steps < self._steps:
            self._bar.note("compiling the first step")

    def on_train_batch_end(self, logs: Logs) -> None:
        """Moves the bar, or prints a line if the last is old enough."""
        self._timed_steps += 1
        if not self._timed_steps:
            self._started = time.monotonic()
        place = f"epoch {self._epoch + 1}/{self._epochs} step {self._meter.steps}/{self._steps} "
        bar = self._bar
        assert bar is not None  # an epoch has begun
        bar.add(
            1, lambda: place + fitted(self._now(logs)), lambda: fitted(self._now(logs), bar.room)
        )

    def close(self) -> None:
        """Takes the bar away, so that what is said next has a line of its own."""
        if self._bar is not None:
            self._bar.close()

    def on_epoch_end(self) -> None:
        """Closes the bar and prints the epoch's line."""
        self.close()
        row, best = self._session.journal.history[-1], self._session.journal.best
        self._session.say(epoch_line(row, self._epochs) + (" best" if best is row else ""))

    def _now(self, logs: Logs) -> dict[str, str]:
        meter = self._meter
        rate = self._session.learning_rate(meter.total_steps)
        return {
            "loss": f"loss {float(logs['loss']):.4f}",
            "characters": f"characters {float(logs['character_accuracy']):.1%}",
            "exact": f"exact {float(logs['exact']):.1%}",
            "rate": f"lr {rate:.1e}",
            "speed": f"{meter.images_per_second:,.0f} images/s",
            "input wait": f"input wait {meter.input_wait:.1%}",
            "memory": show_bytes(memory_bytes(), "GB", 1),
            "time left": f"ETA {self._time_left()}",
        }

    def _time_left(self) -> str:
        """Returns minutes:seconds; not known after one step."""
        if not self._timed_steps:
            return "-:--"
        left = (self._epochs - self._epoch) * self._steps - self._meter.steps
        seconds = (time.monotonic() - self._started) / self._timed_steps * left
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes}:{rest:02d}"


def fitted(parts: Mapping[str, str], columns: int | None = None) -> str:
    """Returns parts of a line side by side, less those for which there is no room.

    Args:
        parts: Their texts by their names, which are those of `_FALL_FIRST`.
        columns: Room for them. None: for all.
    """
    kept = dict(parts)
    for name in _FALL_FIRST:
        if columns is None or len(" ".join(kept.values())) <= columns:
            break
        del kept[name]
    return " ".join(kept.values())


def epoch_line(row: Row, epochs: int) -> str:
    """Returns a finished epoch as a line; with the command's name it fits into 100 columns."""
    line = (
        f"epoch {row['epoch']:{len(str(epochs))}}/{epochs} loss {row['loss']:.3f}"
        f"  characters {row['character_accuracy']:.1%} exact {row['exact']:.1%}"
    )
    if "validation_exact" in row:
        characters, exact = row["validation_character_accuracy"], row["validation_exact"]
        line += f"  validation {characters:.1%} exact {exact:.1%}"
    return line
