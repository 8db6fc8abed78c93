"""The history of a run: a row for each epoch, and the bad records that it met.

Which epoch was best and when to stop early are functions of the rows: there is no other state that
a resume could lose.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from train.config import TrainConfig

Row = dict[str, Any]
"""A line of history.csv or of bad_records.jsonl."""


_SCORED = {"validation_exact", "validation_character_accuracy", "validation_loss"}


@dataclass(slots=True)
class Journal:
    """What a run has come to so far.

    Attributes:
        history: A row for each finished epoch.
        bad_records: Records that were replaced by others; sorted, none twice.
    """

    history: list[Row] = field(default_factory=list)
    bad_records: list[Row] = field(default_factory=list)

    @property
    def best(self) -> Row:
        """The row of the best epoch; the earliest of equals, or without validation the last."""
        if not self.history[0].keys() >= _SCORED:
            return self.history[-1]
        return max(self.history, key=_score)

    def is_complete(self, config: TrainConfig) -> bool:
        """Returns whether a run has nothing left to train: by epochs, target or patience."""
        done, patience = len(self.history), config.patience
        if done >= config.epochs:
            return True
        if config.stopping_target is not None:
            metric, share = config.stopping_target
            if any(row.get(f"validation_{metric}", 0) >= share for row in self.history):
                return True
        return patience is not None and done > 0 and done - self.best["epoch"] >= patience

    def note_bad_records(self, met: Iterable[Row], num_datasets: int = 1) -> list[Row]:
        """Adds bad records that were met, none twice; returns those that are new.

        A shard is named by its file, or by its path where several datasets may have the same names.
        """
        known = {_place(row) for row in self.bad_records}
        if num_datasets == 1:
            met = [{**row, "shard": os.path.basename(row["shard"])} for row in met]
        # A record is met by a reader once; after a resume or by another process, again.
        new = list({_place(row): row for row in met if _place(row) not in known}.values())
        # Threads meet them in any order.
        self.bad_records = sorted([*self.bad_records, *new], key=_place)
        return new


def _score(row: Row) -> tuple[float, float, float]:
    return (
        row["validation_exact"],
        row["validation_character_accuracy"],
        -row["validation_loss"],
    )


def _place(row: Row) -> tuple[str, int]:
    return row["shard"], row["record"]
