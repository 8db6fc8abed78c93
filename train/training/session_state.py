"""What one session of training works with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import keras

from train.evaluation.predictions import Evaluation
from train.hosts.team import Team
from train.runs.checkpoints.checkpoint import Position
from train.runs.events import EventFile
from train.runs.folder import RunFolder
from train.runs.history import Journal
from train.training.job import Job
from train.training.losses import RecentLosses
from train.training.meter import EpochMeter

Logs = dict[str, Any]
"""What Keras tells of a step or an epoch: means of loss and metrics since the epoch began.

Float scalars; those of a step may still be on the device, and whoever reads them waits for it.
"""


@dataclass(kw_only=True, slots=True)
class Session:
    """What the parts of one session of training share.

    Attributes:
        job: What is trained.
        model: Its model.
        run: Where to.
        position: Where an earlier session stood. None: there was none.
        journal: What the run has come to.
        learning_rate: Returns that of a step, by the steps before it.
        meter: Measures the training, and knows the step.
        events: The file for TensorBoard.
        say: Prints a line that stays.
        team: Who trains.
        losses: Of the last steps.
        best_evaluation: What the run's best weights read on validation. None: this session has
            not trained them, or there is no validation split.
        num_met: Bad records that this process has met.
    """

    job: Job
    model: keras.Model
    run: RunFolder
    position: Position | None
    journal: Journal
    learning_rate: Callable[[int], float]
    meter: EpochMeter
    events: EventFile
    say: Callable[[str], None]
    team: Team
    losses: RecentLosses = field(default_factory=RecentLosses)
    best_evaluation: Evaluation | None = None
    num_met: int = 0

    def note_bad_records(self) -> None:
        """Adds the bad records that were met to the journal; on rank 0 those of all ranks."""
        met = [bad for reader in self.job.readers for bad in reader.bad_records]
        if len(met) == self.num_met and not self.team.is_first:
            return
        self.num_met, rows = len(met), [asdict(bad) for bad in met]
        rows += self.team.collect(rows)
        self.journal.note_bad_records(rows, len(self.job.datasets))
