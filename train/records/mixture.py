"""Several datasets mixed by weight, in an order that is arithmetic as well.

Each dataset is an endless stream: its epochs, each in the dataset's own order, one after the other.
The mixture is an endless line of periods of `PERIOD` places. Each period takes from each stream
the same number of records, its quota. Which place takes from which stream is a permutation of the
datasets' numbers, each repeated as often as its quota says: the stable argsort of
`numpy.random.Philox(key=[seed, period], counter=[0, 0, 3, 0]).random_raw(PERIOD)`.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from train.errors import UsageError
from train.records.batches import Ahead
from train.records.order import RecordOrder

Ints = np.ndarray[Any, np.dtype[np.int64]]

PERIOD = 1 << 16
"""Weights are kept to 1 in 65,536, and exactly so in each period."""

_STREAM = 3  # of the counter: apart from the rows' order (0) and from augmentation (1, 2)
_PERIODS_KEPT = 4  # a group of batches may reach over an end, and several threads ask


class MixedOrder:
    """The order in which an epoch goes through several datasets.

    An epoch has as many places as the datasets have records. The next one goes on where it ended
    in each dataset, so none is left half seen.

    Args:
        orders: The datasets' own orders.
        weights: Their shares, in any unit; above 0.
        seed: In [0, 2**64).

    Attributes:
        window: The largest of the datasets' windows.
        num_records: Places of an epoch.

    Raises:
        UsageError: Not one weight above 0 for each dataset.
    """

    def __init__(self, orders: Sequence[RecordOrder], weights: Sequence[float], seed: int) -> None:
        self._orders = list(orders)
        self.window = max(order.window for order in orders)
        self._quotas = quotas(weights, len(orders))
        self._seed = seed
        sizes = [order.num_records for order in orders]
        self._offsets = np.cumsum([0, *sizes])[:-1]
        self.num_records = sum(sizes)

    def records(self, epoch: int, start: int, stop: int) -> Ints:
        """Returns which records stand at places [start, stop) of an epoch.

        Returns:
            Record numbers, counted over the datasets one after the other.
        """
        first, last = (epoch * self.num_records + place for place in (start, stop))
        parts = [np.arange(0)]
        for period in range(first // PERIOD, -(-last // PERIOD)):
            begin = period * PERIOD
            parts.append(self._part(period, max(first - begin, 0), min(last - begin, PERIOD)))
        return np.concatenate(parts)

    def places(self, epoch: int, position: int) -> list[tuple[int, int]]:
        """Returns where each dataset stands at a place of an epoch: its epoch and position."""
        period, place = divmod(epoch * self.num_records + position, PERIOD)
        return [
            divmod(self._taken(dataset, period, place), order.num_records)
            for dataset, order in enumerate(self._orders)
        ]

    def _part(self, period: int, start: int, stop: int) -> Ints:
        """Returns the records at some places of one period."""
        chosen = _choices(self._quotas, self._seed, period)[start:stop]
        records = np.empty(stop - start, np.int64)
        for dataset in range(len(self._orders)):
            here = chosen == dataset
            first = self._taken(dataset, period, start)
            records[here] = self._stream(dataset, first, first + int(here.sum()))
        return records

    def _taken(self, dataset: int, period: int, place: int) -> int:
        """Returns how many records of a dataset come before a place of a period."""
        before = _choices(self._quotas, self._seed, period)[:place] == dataset
        return period * self._quotas[dataset] + int(before.sum())

    def _stream(self, dataset: int, start: int, stop: int) -> Ints:
        """Returns the records [start, stop) of a dataset's endless stream."""
        order = self._orders[dataset]
        parts = [np.arange(0)]
        while start < stop:
            epoch, position = divmod(start, order.num_records)
            count = min(stop - start, order.num_records - position)
            parts.append(order.records(epoch, position, position + count))
            start += count
        return np.concatenate(parts) + self._offsets[dataset]


class MixedReadAhead:
    """Reads each dataset of a mixture ahead.

    Args:
        order: The mixture's.
        aheads: One for each dataset.
    """

    def __init__(self, order: MixedOrder, aheads: Sequence[Ahead]) -> None:
        self._order, self._aheads = order, aheads

    @contextlib.contextmanager
    def using(self, epoch: int, position: int) -> Iterator[None]:
        """Surrounds the making of a batch that starts at a place of an epoch."""
        with contextlib.ExitStack() as stack:
            for ahead, place in zip(self._aheads, self._order.places(epoch, position), strict=True):
                stack.enter_context(ahead.using(*place))
            yield


def quotas(weights: Sequence[float], num_datasets: int) -> tuple[int, ...]:
    """Returns how many places of each period every dataset gets, by largest remainders.

    Raises:
        UsageError: Not one weight above 0 for each dataset, or one is too small beside the others.
    """
    if len(weights) != num_datasets or not all(0 < weight < float("inf") for weight in weights):
        raise UsageError(
            f"weights must be {num_datasets} numbers above 0, one a dataset, got {list(weights)}."
        )
    exact = np.array(weights, np.float64) / sum(weights) * PERIOD
    whole = np.floor(exact).astype(np.int64)
    largest = np.argsort(whole - exact, kind="stable")[: PERIOD - int(whole.sum())]
    whole[largest] += 1
    if not whole.all():
        raise UsageError(
            f"the smallest weight must be at least 1/{PERIOD} of all, got {list(weights)}."
        )
    return tuple(whole.tolist())


@functools.lru_cache(maxsize=_PERIODS_KEPT)
def _choices(
    quotas: tuple[int, ...], seed: int, period: int
) -> np.ndarray[Any, np.dtype[np.int32]]:
    """Returns the dataset of each place of a period."""
    bits = np.random.Philox(
        key=np.array([seed, period], np.uint64), counter=np.array([0, 0, _STREAM, 0], np.uint64)
    )
    places = np.argsort(bits.random_raw(PERIOD), kind="stable")
    return np.repeat(np.arange(len(quotas), dtype=np.int32), quotas)[places]
