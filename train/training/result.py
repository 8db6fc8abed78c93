"""The result of a run."""

from __future__ import annotations

from dataclasses import dataclass

from train.cache.counts import CacheTotals
from train.runs.history import Journal, Row


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainResult:
    """The result of a run.

    Attributes:
        run: Its folder.
        epochs: Epochs done.
        steps: Steps done.
        best: Row of history.csv of the best epoch.
        images_per_second: Median over the epochs.
        input_wait: Share of the training time spent waiting for input. In [0, 1].
        seconds: Time from start to end, less what passed between a stop and a resume.
        bad_records: Records that were replaced by others.
        cache: What the cache did in this session. None: there is none.
    """

    run: str
    epochs: int
    steps: int
    best: Row
    images_per_second: float
    input_wait: float
    seconds: float
    bad_records: int
    cache: CacheTotals | None = None


def result_of(
    run: str, journal: Journal, seconds: float, cache: CacheTotals | None = None
) -> TrainResult:
    """Returns the result of a run.

    Args:
        run: Its folder.
        journal: Has at least one epoch.
        seconds: What the run has taken.
        cache: What the cache did in this session.
    """
    history = journal.history
    rates = sorted(row["images_per_second"] for row in history)
    trained = sum(row["seconds"] for row in history)
    return TrainResult(
        run=run,
        epochs=len(history),
        steps=history[-1]["step"],
        best=journal.best,
        images_per_second=rates[len(rates) // 2],
        input_wait=sum(row["input_wait"] * row["seconds"] for row in history) / trained,
        seconds=seconds,
        bad_records=len(journal.bad_records),
        cache=cache,
    )
