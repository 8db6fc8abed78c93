"""How batches reach the model, for each framework that Keras runs on."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import keras

from train.bench.speed import Speed, timed
from train.input.numpy_dataset import NumpyDataset
from train.input.pydataset import BatchDataset
from train.input.tf_dataset import as_tf_dataset, reader_failure
from train.records.batches import BatchSource

_ENDLESS = 1 << 30  # more epochs than there is time for
_GROUPS_AHEAD = 3  # of batches that may be ready when the first is taken, so that they cost nothing


def device() -> str:
    """Names Keras' backend and its device."""
    return f"{keras.backend.backend()}, {', '.join(keras.distribution.list_devices())}"


def time_delivery(source: BatchSource, seconds: float) -> Speed:
    """Times a reader's batches as training gets them, epoch after epoch."""
    _, group_steps = source.group(0)
    if keras.backend.backend() != "tensorflow":
        return timed(_endless(source), source.batch_size, seconds, _GROUPS_AHEAD * group_steps)

    def one(images: Any, labels: Any) -> int:
        return 1

    with reader_failure(source.reader):
        batches = as_tf_dataset(source, epochs=_ENDLESS)
        # Taken inside TensorFlow, as training does: a batch handed to Python costs as much again.
        groups = batches.map(one).batch(group_steps, drop_remainder=True)
        return timed(groups, group_steps * source.batch_size, seconds, _GROUPS_AHEAD)


def time_arrays(source: BatchSource, seconds: float) -> Speed:
    """Times a reader's batches as NumPy arrays, epoch after epoch."""
    _, group_steps = source.group(0)
    batches = NumpyDataset(source, epochs=_ENDLESS)
    return timed(batches, source.batch_size, seconds, _GROUPS_AHEAD * group_steps)


def one_batch(source: BatchSource) -> Any:
    """Returns a source's first batch, again and again, as `fit` takes it."""
    if keras.backend.backend() == "tensorflow":
        return as_tf_dataset(source).take(1).cache().repeat()
    return (batch for batch in itertools.repeat(source.element(source.batch(0, 0))))


def _endless(source: BatchSource) -> Iterator[Any]:
    """Yields the batches of epoch after epoch, as `fit` takes them."""
    dataset = BatchDataset(source)
    while True:
        dataset.on_epoch_begin()
        for step in range(len(dataset)):
            yield dataset[step]
