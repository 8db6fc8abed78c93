"""What happens around the steps of `fit`: progress, history, best model, TensorBoard."""

from __future__ import annotations

import math
import resource
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import keras

from convert.command import LINE_SECONDS
from train.errors import DivergedError
from train.evaluate import Evaluation, evaluate_source
from train.folder import BEST, EVENTS, LAST, RunFolder
from train.input import InputClock
from train.source import BatchSource

_EVENT_STEPS = 10  # a point in every curve each so many steps: detail enough, cost unseen

Logs = dict[str, float]


class EpochMeter:
    """Measures one epoch of training: images per second and the share of time spent waiting.

    Args:
        clock: Knows how long the model has waited for input.
        batch_size: Images of a step.
    """

    def __init__(self, clock: InputClock, batch_size: int) -> None:
        self._clock = clock
        self._batch_size = batch_size
        self.start()

    def start(self) -> None:
        """Begins an epoch."""
        self._started = time.perf_counter()
        self._waited = self._clock.waited_seconds
        self.steps = 0

    @property
    def seconds(self) -> float:
        """Time since the epoch began."""
        return time.perf_counter() - self._started

    @property
    def images_per_second(self) -> float:
        """Images trained on in a second."""
        return self.steps * self._batch_size / max(self.seconds, 1e-9)

    @property
    def input_wait(self) -> float:
        """Share of the time in which the model waited for its next batch. In [0, 1]."""
        waited = self._clock.waited_seconds - self._waited
        return min(1.0, waited / max(self.seconds, 1e-9))


class RunRecorder(keras.callbacks.Callback):
    """Validates after each epoch and writes everything down.

    Args:
        run: Where to.
        validation: The validation split, or None.
        blanks: Index of each output's blank class, or None.
        meter: Measures the training.
        save: Turns the trained model into the one that is saved.
        events: A tensorboardX writer.
    """

    def __init__(
        self,
        run: RunFolder,
        validation: BatchSource | None,
        blanks: Sequence[int | None],
        meter: EpochMeter,
        save: Callable[[keras.Model], keras.Model],
        events: Any,
    ) -> None:
        super().__init__()
        self._run = run
        self._validation = validation
        self._blanks = blanks
        self._meter = meter
        self._save = save
        self._events = events
        self._best: tuple[float, ...] | None = None
        self.history: list[dict[str, Any]] = []
        self.best_row: dict[str, Any] = {}

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Starts the clock."""
        self._meter.start()

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Counts the step, looks at the loss, and adds points to the curves.

        Raises:
            DivergedError: The loss is no number.
        """
        self._meter.steps += 1
        logs = logs or {}
        step = int(self.model.optimizer.iterations)
        if not math.isfinite(logs.get("loss", 0.0)):
            raise DivergedError(
                f"the loss became {logs['loss']} at step {step}. "
                "Lower --learning-rate, or look at the data with `convert show`."
            )
        if step % _EVENT_STEPS == 0:
            for name in ("loss", "character_accuracy", "exact"):
                self._events.add_scalar(f"train/{name}", logs[name], step)
            self._events.add_scalar("train/learning_rate", learning_rate(self.model), step)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Validates, writes a row of history, and keeps the model."""
        row = self._row(epoch, logs or {})
        if self._validation is not None:
            row |= _validation_columns(evaluate_source(self.model, self._validation, self._blanks))
        self.history.append(row)
        self._run.append_history(row)
        for name in [name for name in row if name not in ("epoch", "step")]:
            self._events.add_scalar(f"epoch/{name}", row[name], row["step"])
        self._events.flush()
        model = self._save(self.model)
        self._run.save_model(model, LAST)
        if self._is_best(row):
            self.best_row = row
            self._run.save_model(model, BEST)

    def _row(self, epoch: int, logs: Logs) -> dict[str, Any]:
        return {
            "epoch": epoch + 1,
            "step": int(self.model.optimizer.iterations),
            "learning_rate": learning_rate(self.model),
            "loss": logs["loss"],
            "character_accuracy": logs["character_accuracy"],
            "exact": logs["exact"],
            "images_per_second": self._meter.images_per_second,
            "input_wait": self._meter.input_wait,
            "seconds": self._meter.seconds,
        }

    def _is_best(self, row: dict[str, Any]) -> bool:
        """Tells whether an epoch is better than all before; without validation each one is."""
        if self._validation is None:
            return True
        score = (
            row["validation_exact"],
            row["validation_character_accuracy"],
            -row["validation_loss"],
        )
        if self._best is not None and score <= self._best:
            return False
        self._best = score
        return True


class ProgressLine(keras.callbacks.Callback):
    """Says how training goes: a line in place on a terminal, else one now and then.

    Args:
        epochs: Epochs of the run.
        steps: Steps of an epoch.
        meter: Measures the training.
        recorder: Has the rows of finished epochs.
        say: Prints a line that stays.
    """

    def __init__(
        self,
        epochs: int,
        steps: int,
        meter: EpochMeter,
        recorder: RunRecorder,
        say: Callable[[str], None],
    ) -> None:
        super().__init__()
        self._epochs, self._steps = epochs, steps
        self._meter, self._recorder, self._say = meter, recorder, say
        self._terminal = sys.stderr.isatty()
        self._epoch = 0
        self._started = self._shown = time.monotonic()
        self._bar: Any = None

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Opens the epoch's bar."""
        from tqdm import tqdm

        self._epoch = epoch
        self._bar = tqdm(
            total=self._steps,
            desc=f"epoch {epoch + 1}/{self._epochs}",
            unit="step",
            leave=False,
            dynamic_ncols=True,
            bar_format="{desc} {bar:10} {n_fmt}/{total_fmt}{postfix}",
            disable=not self._terminal,
        )

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Moves the bar, or prints a line if the last is old enough."""
        if self._terminal:
            self._bar.set_postfix_str(self._now(logs or {}), refresh=False)
            self._bar.update()
        elif time.monotonic() - self._shown >= LINE_SECONDS:
            self._shown = time.monotonic()
            self._say(
                f"epoch {self._epoch + 1}/{self._epochs} step {batch + 1}/{self._steps} "
                + self._now(logs or {})
            )

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Closes the bar and prints the epoch's line."""
        self._bar.close()
        self._shown = time.monotonic()
        row = self._recorder.history[-1]
        line = f"epoch {epoch + 1:{len(str(self._epochs))}}/{self._epochs}  loss {row['loss']:.4f}"
        line += _shares("  train", row["character_accuracy"], row["exact"])
        if "validation_exact" in row:
            line += _shares(
                "  validation", row["validation_character_accuracy"], row["validation_exact"]
            )
        line += f"  {row['images_per_second']:,.0f} images/s  input wait {row['input_wait']:.1%}"
        self._say(line + ("  best" if self._recorder.best_row is row else ""))

    def _now(self, logs: Logs) -> str:
        return (
            f"loss {logs['loss']:.4f}"
            + _shares("", logs["character_accuracy"], logs["exact"])
            + f" lr {learning_rate(self.model):.1e} {self._meter.images_per_second:,.0f} images/s "
            f"input wait {self._meter.input_wait:.1%} {memory_bytes() / 1e9:.1f} GB "
            f"ETA {_clock_text(self._seconds_left())}"
        )

    def _seconds_left(self) -> float:
        done = self._epoch * self._steps + self._meter.steps
        left = self._epochs * self._steps - done
        return (time.monotonic() - self._started) / max(done, 1) * left


def open_events(run: RunFolder) -> Any:
    """Opens the run's TensorBoard file for writing."""
    from tensorboardX import SummaryWriter

    return SummaryWriter(run.file(EVENTS))


def learning_rate(model: keras.Model) -> float:
    """Returns the learning rate of the next step."""
    return float(keras.ops.convert_to_numpy(model.optimizer.learning_rate))


def memory_bytes() -> int:
    """Returns this process' largest resident memory so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # Linux counts in KiB


def _validation_columns(evaluation: Evaluation) -> dict[str, float]:
    return {
        "validation_loss": evaluation.loss,
        "validation_character_accuracy": evaluation.character_accuracy,
        "validation_exact": evaluation.exact,
    }


def _shares(name: str, characters: float, exact: float) -> str:
    return f"{name} characters {characters:.1%} exact {exact:.1%}"


def _clock_text(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"
