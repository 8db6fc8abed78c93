"""The share of the time that training waits for input, as it is shown and logged per epoch."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from train.input.clock import InputClock
from train.input.open_source import open_source
from train.input.tf_dataset import as_tf_dataset
from train.training.meter import EpochMeter

BATCH_SIZE = 10
STEPS = 9  # of an epoch of the small dataset: a group of eight batches, and one more


def input_wait(dataset, monkeypatch, *, batch_seconds, step_seconds):
    """Returns the share for an epoch whose reader and model take known times.

    Args:
        dataset: The small dataset.
        monkeypatch: Makes the reader slow.
        batch_seconds: What the reader takes for a batch.
        step_seconds: What the model takes for a step.
    """
    source = open_source(dataset, "train", BATCH_SIZE)
    clock, one_at_a_time = InputClock(), threading.Lock()
    meter = EpochMeter(clock, BATCH_SIZE)
    batches = as_tf_dataset(source, clock=clock)
    assert sum(1 for _ in batches) == STEPS  # builds the pipeline, which is no reading

    def gather(records):
        # Groups are made side by side. The lock keeps the reader to its speed, whatever their
        # number.
        with one_at_a_time:
            time.sleep(batch_seconds * len(records) / BATCH_SIZE)
        images = np.zeros((len(records), *source.reader.image_shape), np.uint8)
        return images, np.zeros((len(records), len(source.output_names)), np.int32)

    monkeypatch.setattr(source.reader, "gather", gather)
    meter.start()
    for _ in batches:
        time.sleep(step_seconds)  # the model
        meter.steps += 1
    meter.finish()
    assert meter.steps == STEPS
    return meter.input_wait


def test_a_reader_ten_times_slower_than_the_model_is_waited_for(small_dataset, monkeypatch):
    """The nine batches take 9 * 0.2 s, the last one is used for 0.02 s more: 1.82 s in all.

    The model works for 9 * 0.02 s of it, which leaves a share of 0.90. The share would fall to
    0.5 only if its sleeps took ten times as long as they were told to.
    """
    assert input_wait(small_dataset, monkeypatch, batch_seconds=0.2, step_seconds=0.02) > 0.5


def test_an_instant_reader_is_not_waited_for(small_dataset, monkeypatch):
    """The model works for 9 * 0.2 s; a share of 0.5 would be 1.8 s of handing over arrays."""
    assert input_wait(small_dataset, monkeypatch, batch_seconds=0, step_seconds=0.2) < 0.5


@pytest.mark.parametrize("seconds_ago", [0.0, 8.0])
def test_the_epochs_share_is_that_of_its_own_time(monkeypatch, seconds_ago):
    """What was waited before the epoch began does not count, nor what comes after its end."""
    now = [0.0]
    monkeypatch.setattr("train.training.meter.time.perf_counter", lambda: now[0])
    clock = InputClock(waited_seconds=100.0)
    meter = EpochMeter(clock, BATCH_SIZE)
    meter.start(steps=4, seconds=seconds_ago, waited_seconds=seconds_ago)
    now[0], clock.waited_seconds = 8.0, 102.0
    meter.finish()
    now[0] = 50.0
    assert meter.input_wait == (2.0 + seconds_ago) / (8.0 + seconds_ago)
