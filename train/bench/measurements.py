"""The measurements, one after the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import keras

from convert.dataset.info import DatasetInfo
from convert.dataset.read import OpenDataset, open_dataset
from train.bench import lines
from train.bench.batches import open_training
from train.bench.bottleneck import Rates
from train.bench.cold import ColdRead, read_cold
from train.bench.config import BenchConfig
from train.bench.framework import device, one_batch, time_arrays, time_delivery
from train.bench.pace import Pace, train_for
from train.bench.speed import Speed
from train.bench.warm import in_memory
from train.input.clock import InputClock
from train.input.feed import feed
from train.input.tf_dataset import reader_failure
from train.memory import available_bytes
from train.model.build import build_compiled
from train.records.batches import BatchSource
from train.records.order import default_window

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class ReaderSpeeds:
    """The reader alone, its records in memory.

    Attributes:
        first: As training uses it, CRCs compared as in a first epoch.
        tensors: As training uses it in all other epochs.
        plain: The same without augmentation; None if there is none.
        arrays: The same as NumPy arrays.
    """

    first: Speed
    tensors: Speed
    plain: Speed | None
    arrays: Speed


@dataclass(frozen=True, kw_only=True, slots=True)
class BenchResult:
    """What was measured.

    Attributes:
        info: The dataset.
        record_bytes: Bytes of a record, frame included.
        window: Records that are shuffled as one.
        device: What Keras computes on.
        cold: Reading from disk.
        reader: The reader alone.
        model: Steps on one batch, again and again.
        together: Steps of training.
        rates: What tells the bottleneck.
    """

    info: DatasetInfo
    record_bytes: int
    window: int
    device: str
    cold: ColdRead
    reader: ReaderSpeeds
    model: Speed
    together: Pace
    rates: Rates


def bench_dataset(config: BenchConfig, say: Say = lambda line: None) -> BenchResult:
    """Measures the reader alone, the model alone, and both together; writes nothing.

    Args:
        config: What to measure.
        say: Called with each line of the table as soon as it is known.

    Raises:
        UsageError: An option or the dataset's splits do not fit.
        FormatError: The dataset is no valid one.
        RecordError: A record is damaged.
    """
    dataset = open_dataset(config.dataset)
    info = dataset.info
    source = open_training(config, dataset)
    record_bytes = source.reader.record_bytes
    model = build_compiled(config.training, info, source.num_steps)
    for line in lines.opening(config, info, record_bytes, device()):
        say(line)
    cold = _from_disk(config, dataset, say)
    source = in_memory(source, config.window, config.seconds)
    reader = reader_speeds(config, dataset, source, say)
    with reader_failure(source.reader):
        alone = _model_alone(config, source, model, say)
        together = _together(config, source, model, say)
    return BenchResult(
        info=info,
        record_bytes=record_bytes,
        window=config.window or default_window(info.num_records("train"), record_bytes),
        device=device(),
        cold=cold,
        reader=reader,
        model=alone,
        together=together,
        rates=_rates(config, info, record_bytes, cold, reader, alone, together),
    )


def _from_disk(config: BenchConfig, dataset: OpenDataset, say: Say) -> ColdRead:
    cold = read_cold(config, dataset)
    say(lines.row("from disk, as arrays", cold.speed, lines.cold_note(cold)))
    return cold


def reader_speeds(
    config: BenchConfig, dataset: OpenDataset, source: BatchSource, say: Say
) -> ReaderSpeeds:
    """Times the reader in all its ways.

    Args:
        config: What is measured.
        dataset: The dataset.
        source: The training split, in memory.
        say: Called with each line.
    """
    always = in_memory(open_training(config, dataset, "always"), config.window, config.seconds)
    first = time_delivery(always, config.seconds)
    say(lines.row("reader, first epoch", first, "each CRC is compared"))
    tensors = time_delivery(source, config.seconds)
    say(lines.row("reader", tensors))
    plain = None
    if config.augment:
        plain = time_delivery(replace(source, augment=None), config.seconds)
        say(lines.row("reader, --no-augment", plain))
    arrays = time_arrays(source, config.seconds)
    say(lines.row("reader, as arrays", arrays))
    return ReaderSpeeds(first=first, tensors=tensors, plain=plain, arrays=arrays)


def _model_alone(config: BenchConfig, source: BatchSource, model: keras.Model, say: Say) -> Speed:
    """Times the model on one batch, in epochs as long as the training's."""
    batch = one_batch(source)
    pace = train_for(
        config.seconds, model, batch, config.batch_size, InputClock(), source.num_steps
    )
    say(lines.row("model, on one batch", pace.speed))
    return pace.speed


def _together(config: BenchConfig, source: BatchSource, model: keras.Model, say: Say) -> Pace:
    """Times training."""
    clock = InputClock()
    batches = feed(source, epoch=0, start_step=0, clock=clock)
    pace = train_for(config.seconds, model, batches, config.batch_size, clock)
    say(lines.row("both together", pace.speed, f"input wait {pace.input_wait:.1%}"))
    return pace


def _rates(
    config: BenchConfig,
    info: DatasetInfo,
    record_bytes: int,
    cold: ColdRead,
    reader: ReaderSpeeds,
    model: Speed,
    together: Pace,
) -> Rates:
    """Returns the rates that decide which part is the bottleneck."""
    disk = cold.bytes_per_second
    memory = available_bytes()
    return Rates(
        reader=reader.tensors.images_per_second,
        reader_plain=reader.plain.images_per_second if reader.plain else None,
        disk=None if disk is None else disk / record_bytes,
        fits=memory is None or info.num_records("train") * record_bytes <= memory,
        model=model.images_per_second,
        input_wait=together.input_wait,
        batch_size=config.batch_size,
        encoding=info.image.encoding,
    )
