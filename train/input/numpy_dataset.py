"""Batches as NumPy arrays, for every framework and for none: nothing here loads TensorFlow."""

from __future__ import annotations

import itertools
import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from train.errors import UsageError
from train.input.open_source import open_batches
from train.input.options import EpochArguments, IterationArguments, takes
from train.records.batches import MAKERS, Arrays, BatchSource

if TYPE_CHECKING:
    from train.input.pydataset import BatchDataset

_GROUPS_AHEAD = MAKERS + 1  # one for each thread, and one that is ready

Batch = tuple[Any, Any]


class NumpyDataset:
    """The batches of a split as NumPy arrays; the k-th iteration is epoch `epoch + k * epochs`.

    Args:
        source: Makes the batches.
        epoch: The first iteration's epoch.
        epochs: Epochs that one iteration goes through.
        start_step: Batches that the first iteration leaves out. In [0, batches of an epoch].
    """

    def __init__(
        self, source: BatchSource, *, epoch: int = 0, epochs: int = 1, start_step: int = 0
    ) -> None:
        check_start_step(source, start_step)
        self._source, self._epochs, self._start_step = source, epochs, start_step
        self._next_epochs = itertools.count(epoch, epochs)

    def __len__(self) -> int:
        """Returns the batches of the next iteration."""
        return self._source.num_steps * self._epochs - self._start_step

    def __iter__(self) -> Iterator[Batch]:
        """Yields (images, labels), made by threads a little ahead."""
        first, start_step = next(self._next_epochs), self._start_step
        self._start_step = 0
        for epoch in range(first, first + self._epochs):
            yield from iterate(self._source, epoch, start_step if epoch == first else 0)


@takes(IterationArguments)
def load_numpy(asked: IterationArguments) -> NumpyDataset:
    """Does what `load_dataset` does, without TensorFlow: the same batches as NumPy arrays.

    Returns:
        An iterable of `(images, labels)`; the arrays are the caller's own. Each iteration is the
        next epoch.

    Example:
        >>> for images, labels in load_numpy("strips", "train", batch_size=64):
        ...     step(images, labels["y0"])
    """
    source, epochs = open_batches(asked), asked.epochs
    return NumpyDataset(source, epoch=asked.epoch, epochs=epochs, start_step=asked.start_step)


@takes(EpochArguments)
def load_pydataset(asked: EpochArguments) -> BatchDataset:
    """Does what `load_dataset` does, as a `keras.utils.PyDataset`, for any backend of Keras.

    Returns:
        To be passed to `model.fit(..., shuffle=False)`: the order is ours. Each epoch that ends
        is followed by the next one.
    """
    from train.input.pydataset import BatchDataset

    source = open_batches(asked)
    check_start_step(source, asked.start_step)
    return BatchDataset(source, epoch=asked.epoch, start_step=asked.start_step)


def check_start_step(source: BatchSource, start_step: int) -> None:
    """Raises `UsageError` for a step that an epoch does not have."""
    if not 0 <= start_step <= source.num_steps:
        raise UsageError(f"start_step must be in [0, {source.num_steps}], got {start_step}.")


def iterate(source: BatchSource, epoch: int, start_step: int = 0) -> Iterator[Batch]:
    """Yields the batches of an epoch from a step on, made by threads a little ahead."""
    pool = ThreadPoolExecutor(MAKERS, thread_name_prefix="batches")

    def make(number: int) -> Arrays:
        return source.batches(epoch, *source.group(number, start_step))

    process = os.getpid()
    groups = _ahead(pool, make, range(source.num_groups(start_step)))
    try:
        while True:
            if os.getpid() != process:  # the threads are the parent's
                raise UsageError(
                    "this iteration began before the process was forked. Begin one in the child."
                )
            arrays = next(groups, None)
            if arrays is None:
                return
            for batch in zip(*arrays, strict=True):
                yield source.element(batch)
    finally:  # the caller may have had enough
        pool.shutdown(wait=False, cancel_futures=True)


def _ahead(pool: ThreadPoolExecutor, make: Any, numbers: Iterable[int]) -> Iterator[Arrays]:
    """Yields what calls return, in order, while the next ones are under way."""
    pending: deque[Future[Arrays]] = deque()
    for number in numbers:
        if len(pending) >= _GROUPS_AHEAD:
            yield pending.popleft().result()
        pending.append(pool.submit(make, number))
    while pending:
        yield pending.popleft().result()
