"""Validates, writes history and saves models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import keras
import numpy as np

from train.errors import DivergedError
from train.evaluation.parts import by_part
from train.evaluation.predictions import Evaluation
from train.hosts.sharded import LocalNetwork, evaluate_shared, predictor
from train.model.recogniser import inference_network, plain
from train.records.batches import BatchSource
from train.records.texts import blanks_of
from train.runs.folder import BEST, DIVERGED, LAST, LAST_RAW
from train.runs.history import Row
from train.training.losses import LOOK_STEPS
from train.training.session_state import Logs, Session

_NAMED = 3  # images of a batch in the message that its loss is no number


class RunRecorder:
    """Validates after each epoch and writes everything down.

    Args:
        session: What is trained, and where to.
        on_batch: Called after each batch of validation; what it raises ends it.
    """

    def __init__(self, session: Session, on_batch: Callable[[], None]) -> None:
        self._session, self._on_batch = session, on_batch
        self._num_listed = len(session.journal.bad_records)
        self._networks: dict[str, keras.Model | LocalNetwork] = {}

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Counts the step, and looks at the loss every few steps and at an epoch's last.

        Raises:
            DivergedError: The loss is no number.
        """
        session, meter = self._session, self._session.meter
        meter.steps += 1
        session.losses.note((logs or {}).get("loss", 0.0))
        if meter.total_steps % LOOK_STEPS and meter.steps < session.job.training.num_steps:
            return
        if (bad := session.losses.look()) is not None:
            session.team.by_first(lambda: self._end(*bad))

    def _end(self, ago: int, loss: float) -> NoReturn:
        """Raises since a loss is no number, and keeps the batch.

        Args:
            ago: Steps that were taken after that one.
            loss: What it was.
        """
        session, meter = self._session, self._session.meter
        epoch, step = len(session.journal.history), meter.steps - 1 - ago
        arrays = _batch_arrays(session.job.training.whole, epoch, step)
        path = session.run.write_arrays(DIVERGED, arrays)
        raise DivergedError(
            f"the loss became {loss} at step {meter.total_steps - ago} (epoch {epoch + 1}, "
            f"step {step + 1}); its batch is in {path}{_examples(arrays)}. "
            "Lower --learning-rate, or look at these images."
        )

    def on_epoch_end(self, epoch: int, logs: Logs) -> Evaluation | None:
        """Validates, writes a row of history, and keeps the model; returns the validation."""
        session = self._session
        session.meter.finish()
        row = self._row(epoch, logs)
        network = inference_network(session.model)
        evaluation = self._validate(network, "validation", row)
        if evaluation is not None and session.job.config.ema:
            self._validate(session.model, "raw_validation", row)
        if evaluation is not None:
            for part, own in by_part(evaluation, session.job.parts):
                _add_scores(row, part.prefix, own)
        session.journal.history.append(row)
        if session.journal.best is row:
            session.best_evaluation = evaluation
        if session.team.is_first:
            with session.team.busy():
                self._save(row, network)
        return evaluation

    def _save(self, row: Row, network: keras.Model) -> None:
        """Writes history and models of an epoch."""
        session, run = self._session, self._session.run
        run.write_history(session.journal.history)
        run.save_model(network, LAST)
        if session.journal.best is row:
            run.save_model(network, BEST)
        if session.model.average is not None:
            run.save_model(plain(session.model), LAST_RAW)
        self._list_bad_records()

    def _validate(self, model: keras.Model, name: str, row: Row) -> Evaluation | None:
        """Measures a model on the validation split, if there is one, and adds columns to a row."""
        job = self._session.job
        if job.validation is None:
            return None
        if name not in self._networks:  # once: each would be compiled
            self._networks[name] = predictor(model)
        network, blanks = self._networks[name], blanks_of(job.info)
        team = self._session.team
        evaluation = evaluate_shared(network, job.validation, blanks, self._on_batch, team)
        _add_scores(row, name, evaluation)
        return evaluation

    def _list_bad_records(self) -> None:
        """Writes down the records that were replaced by others."""
        self._session.note_bad_records()
        bad = self._session.journal.bad_records
        new, self._num_listed = len(bad) - self._num_listed, len(bad)
        if new:
            path = self._session.run.write_bad_records(bad)
            self._session.say(f"{new:,} bad records were left out: {path}")

    def _row(self, epoch: int, logs: Logs) -> Row:
        meter, team = self._session.meter, self._session.team
        waited = max(map(float, team.gather(str(meter.waited_seconds).encode())))
        return {
            "epoch": epoch + 1,
            "step": meter.total_steps,
            "learning_rate": self._session.learning_rate(meter.total_steps),
            "loss": float(logs["loss"]),
            "character_accuracy": float(logs["character_accuracy"]),
            "exact": float(logs["exact"]),
            "images_per_second": meter.images_per_second,
            "input_wait": meter.share(waited),
            "seconds": meter.seconds,
        }


def _add_scores(row: Row, name: str, evaluation: Evaluation) -> None:
    """Adds the columns of a validation to a row of history."""
    row[f"{name}_loss"] = evaluation.loss
    row[f"{name}_character_accuracy"] = evaluation.character_accuracy
    row[f"{name}_exact"] = evaluation.exact


def _batch_arrays(source: BatchSource, epoch: int, step: int) -> dict[str, Any]:
    """Returns a batch with the manifest rows and the files that it comes from."""
    images, *labels = source.batch(epoch, step)
    start = step * source.batch_size
    records = source.order.records(epoch, start, start + len(images))
    return {
        "images": images,
        "labels": np.stack(labels, axis=1),
        "rows": source.reader.rows(records),
        "paths": np.array(source.reader.sources(records), np.str_),
        "epoch": np.array(epoch),
        "step": np.array(step),
    }


def _examples(arrays: dict[str, Any]) -> str:
    """Returns where the first records of a batch come from, as a part of a sentence."""
    rows, paths = arrays["rows"].tolist(), arrays["paths"].tolist()
    shown = [f"row {row} {path}".rstrip() for row, path in zip(rows, paths, strict=True)]
    more = ", ..." if len(shown) > _NAMED else ""
    return f" ({', '.join(shown[:_NAMED])}{more})"
