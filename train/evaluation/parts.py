"""The validation of several datasets: of each one, and of all together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from train.evaluation.predictions import Evaluation


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """The records of one of several datasets in a split of all.

    Attributes:
        number: Which dataset, from 1, in the order in which they were named.
        path: Its folder.
        records: How many.
    """

    number: int
    path: str
    records: int

    @property
    def prefix(self) -> str:
        """Begins the names of its columns in history.csv."""
        return f"validation_{self.number}"


def by_part(evaluation: Evaluation, parts: Sequence[Part]) -> Iterator[tuple[Part, Evaluation]]:
    """Yields the predictions for each part of a split.

    Args:
        evaluation: Of the whole split.
        parts: One after the other they are the split; none if it is one dataset's.
    """
    start = 0
    for part in parts:
        rows = slice(start, start + part.records)
        shift = start % len(evaluation.powers)
        start += part.records
        yield (
            part,
            replace(
                evaluation,
                labels=evaluation.labels[rows],
                predictions=evaluation.predictions[rows],
                confidences=evaluation.confidences[rows],
                ranks=evaluation.ranks[rows],
                losses=evaluation.losses[rows],
                powers=[*evaluation.powers[shift:], *evaluation.powers[:shift]],
            ),
        )
