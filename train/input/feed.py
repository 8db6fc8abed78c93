"""The input of `fit`: tf.data if Keras runs on TensorFlow, else threads of our own."""

from __future__ import annotations

from typing import Any

import keras

from train.input.clock import InputClock
from train.input.pydataset import BatchDataset
from train.input.tf_dataset import as_tf_dataset
from train.records.batches import BatchSource


def feed(source: BatchSource, *, epoch: int, start_step: int, clock: InputClock) -> Any:
    """Returns a source's batches as `fit` takes them, one epoch after the other.

    Args:
        source: The batches.
        epoch: The first epoch.
        start_step: Batches that the first epoch leaves out.
        clock: Measures the time that training waits.
    """
    if keras.backend.backend() == "tensorflow":
        return as_tf_dataset(source, epoch=epoch, start_step=start_step, clock=clock)
    return BatchDataset(source, epoch=epoch, start_step=start_step, clock=clock)
