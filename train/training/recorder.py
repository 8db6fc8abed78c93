"""Keras callback of a run: validates, writes history and saves models."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from train.errors import DivergedError
from train.model.recogniser import inference_network, plain
from train.records.batches import BatchSource
from train.runs.folder import BEST, DIVERGED, LAST, LAST_RAW, RunFolder
from train.runs.history import Journal, Reader, Row
from train.training.meter import EpochMeter

Logs = dict[str, float]


class RunRecorder(keras.callbacks.Callback):
    """Validates after each epoch and writes everything down.

    Args:
        run: Where to.
        journal: Gets the rows.
        meter: Measures the training.
        validate: Returns a model's columns of the history; none without a validation split.
        learning_rate: Returns that of a step.
        training: What the model learns from.
        readers: Of all splits; they know of bad records.
        say: Prints a line that stays.
    """

    def __init__(
        self,
        run: RunFolder,
        journal: Journal,
        meter: EpochMeter,
        validate: Callable[[keras.Model], Mapping[str, float]],
        learning_rate: Callable[[int], Any],
        training: BatchSource,
        readers: Sequence[Reader],
        say: Callable[[str], None],
    ) -> None:
        super().__init__()
        self._run, self._journal, self._meter = run, journal, meter
        self._validate, self._learning_rate = validate, learning_rate
        self._training, self._readers, self._say = training, readers, say
        self._num_listed = len(journal.bad_records)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Counts the step and looks at the loss.

        Raises:
            DivergedError: The loss is no number.
        """
        self._meter.steps += 1
        loss = (logs or {}).get("loss", 0.0)
        if not math.isfinite(loss):
            epoch, step = len(self._journal.history), self._meter.steps - 1
            path = self._run.write_arrays(DIVERGED, _batch_arrays(self._training, epoch, step))
            raise DivergedError(
                f"the loss became {loss} at step {self._meter.total_steps} (epoch {epoch + 1}, "
                f"step {step + 1}); its batch is in {path}. "
                "Lower --learning-rate, or look at the images of these rows."
            )

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Validates, writes a row of history, and keeps the model."""
        self._meter.finish()
        row = {**self._row(epoch, logs or {}), **self._validate(self.model)}
        self._journal.history.append(row)
        self._run.write_history(self._journal.history)
        network = inference_network(self.model)
        self._run.save_model(network, LAST)
        if self._journal.best is row:
            self._run.save_model(network, BEST)
        if self.model.average is not None:
            self._run.save_model(plain(self.model), LAST_RAW)
        self._list_bad_records()

    def _list_bad_records(self) -> None:
        """Writes down the records that were replaced by others."""
        self._journal.note_bad_records(self._readers)
        bad = self._journal.bad_records
        new, self._num_listed = len(bad) - self._num_listed, len(bad)
        if new:
            path = self._run.write_bad_records(bad)
            self._say(f"{new:,} bad records were left out: {path}")

    def _row(self, epoch: int, logs: Logs) -> Row:
        return {
            "epoch": epoch + 1,
            "step": self._meter.total_steps,
            "learning_rate": float(self._learning_rate(self._meter.total_steps)),
            "loss": float(logs["loss"]),
            "character_accuracy": float(logs["character_accuracy"]),
            "exact": float(logs["exact"]),
            "images_per_second": self._meter.images_per_second,
            "input_wait": self._meter.input_wait,
            "seconds": self._meter.seconds,
        }


def _batch_arrays(source: BatchSource, epoch: int, step: int) -> dict[str, Any]:
    """Returns a batch with the manifest rows that it comes from."""
    images, *labels = source.batch(epoch, step)
    start = step * source.batch_size
    records = source.order.records(epoch, start, start + len(images))
    return {
        "images": images,
        "labels": np.stack(labels, axis=1),
        "rows": source.reader.rows(records),
        "epoch": np.array(epoch),
        "step": np.array(step),
    }
