"""What the processes of a training can do together, and how a process alone does it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

Arrays = Mapping[str, np.ndarray[Any, Any]]
Row = dict[str, Any]

_Value = TypeVar("_Value")


@dataclass(frozen=True, kw_only=True, slots=True)
class Stop:
    """Why a training is to end before it is done.

    Attributes:
        what: For the message.
        number: The signal's. None: there was none.
    """

    what: str
    number: int | None = None


class Team:
    """The processes that train one run together; this class itself is a process alone.

    `train_model` and `resume_training` take one. On every rank they return the same result or raise
    the same `StoppedError`, so that all end with one exit code. Anything else that goes wrong is
    told on stderr by the rank that met it, and ends all ranks with its code: it is not raised.

    Each of these methods but `busy` and `collect` is called by all ranks, in the same order.

    Attributes:
        rank: Which process this is. In [0, size). Only rank 0 prints results.
        size: Processes of the team.
        name: What it is, for the first line of a training; empty for a process alone.
        flags: What a command that resumes its run says besides; empty for a process alone.
    """

    def __init__(self, rank: int = 0, size: int = 1, name: str = "", flags: str = "") -> None:
        self.rank, self.size, self.name, self.flags = rank, size, name, flags

    @property
    def is_first(self) -> bool:
        """Whether this is the rank that has the run's folder."""
        return self.rank == 0

    @contextlib.contextmanager
    def guarded(self) -> Iterator[None]:
        """Surrounds a training; of several processes none survives the failure of another."""
        yield

    def by_first(self, act: Callable[[], _Value]) -> _Value:
        """Lets rank 0 act while the others wait; an error of it ends all.

        Args:
            act: Returns what JSON can carry, tuples as lists.

        Returns:
            What it returned, on all ranks.
        """
        return act()

    @contextlib.contextmanager
    def busy(self) -> Iterator[None]:
        """Surrounds what rank 0 does alone while the others wait for its next step."""
        yield

    def connect(self) -> None:
        """Connects the devices; before that only the processes are."""

    def gather(self, value: bytes) -> list[bytes]:
        """Returns the values of all ranks, by rank."""
        return [value]

    def share_arrays(self, arrays: Arrays, like: Arrays) -> Arrays:
        """Returns the arrays that rank 0 has.

        Args:
            arrays: Those of rank 0; others are not looked at.
            like: Arrays of the same names, shapes and dtypes.
        """
        return arrays

    def collect(self, rows: Sequence[Row]) -> list[Row]:
        """Tells rank 0 some rows; does not wait.

        Args:
            rows: All of this rank so far, those told before included.

        Returns:
            Those of all other ranks so far, on rank 0; none elsewhere.
        """
        return []

    def stop(self, wish: Stop | None) -> Stop | None:
        """Returns why all ranks stop here, at the same step; None if they go on.

        Args:
            wish: Why this rank wants to stop; granted a few steps later.
        """
        return wish
