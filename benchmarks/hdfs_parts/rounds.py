"""Contestants that take turns, so that all meet the same load of the machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TypeVar

Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """What some work has taken.

    Attributes:
        amount: Of what was done: bytes, rows or images.
        seconds: Wall time.
        cpu_seconds: CPU time of the process that did it.
        daemon_seconds: CPU time of HDFS's daemons meanwhile.
    """

    amount: int
    seconds: float
    cpu_seconds: float = 0.0
    daemon_seconds: float = 0.0

    @property
    def rate(self) -> float:
        """The amount per second."""
        return self.amount / self.seconds


def alternate(
    contestants: Mapping[str, Callable[[], Result]], rounds: int
) -> dict[str, list[Result]]:
    """Runs each once a round; where a round begins moves on from round to round.

    Returns:
        What each returned, one a round.
    """
    results: dict[str, list[Result]] = {name: [] for name in contestants}
    for number in range(rounds):
        first = number * len(contestants) // rounds  # spread, so that none is always early or late
        for name in [*contestants][first:] + [*contestants][:first]:
            results[name].append(contestants[name]())
    return results


def fastest(*several: Sequence[Cost]) -> list[Cost]:
    """Returns of each round the cost of the fastest."""
    return [max(costs, key=lambda cost: cost.rate) for costs in zip(*several, strict=True)]


def ratio(costs: Sequence[Cost], others: Sequence[Cost]) -> float:
    """Returns how many times as fast the first are: the median of ratios within rounds."""
    return median(one.rate / other.rate for one, other in zip(costs, others, strict=True))
