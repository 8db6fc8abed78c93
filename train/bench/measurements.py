"""The measurements, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

from convert.dataset.info import DatasetInfo
from convert.dataset.read import OpenDataset, open_dataset
from train.bench import report
from train.bench.batches import in_memory, open_training
from train.bench.cold import ColdRead, read_cold
from train.bench.config import BenchConfig
from train.bench.framework import device, one_batch, time_arrays, time_delivery, train_for
from train.bench.speed import Speed
from train.hosts.devices import require_even, sharing
from train.input.augmentation_place import fed_batches
from train.input.clock import InputClock
from train.input.feed import feed
from train.input.tf_dataset import reader_failure
from train.memory import available_bytes
from train.model.build import build_compiled
from train.records.batches import BatchSource
from train.records.order import default_window

_LABELS = {
    "reader_first_epoch": "reader, first epoch",
    "reader": "reader",
    "reader_not_augmented": "reader, --no-augment",
    "reader_arrays": "reader, as arrays",
    "model_alone": "model, on one batch",
    "together": "both together",
}
"""Name in JSON -> first column of the printed row."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BenchResult:
    """What was measured.

    Attributes:
        info: The dataset.
        record_bytes: Bytes of a record, frame included.
        window: Records that are shuffled as one.
        device: What Keras computes on.
        cold: Reading from disk.
        speeds: Of all other parts, by their names in JSON.
        rates: What tells the bottleneck.
    """

    info: DatasetInfo
    record_bytes: int
    window: int
    device: str
    cold: ColdRead
    speeds: dict[str, Speed]
    rates: report.Rates


def bench_dataset(config: BenchConfig, say: Callable[[str], None]) -> BenchResult:
    """Times reader and model, alone and together.

    Args:
        config: What to measure.
        say: Called with each line.

    Raises:
        UsageError: An option or the dataset's splits do not fit.
        FormatError: The dataset is no valid one.
        RecordError: A record is damaged.
    """
    dataset = open_dataset(config.dataset)
    require_even("--batch-size", config.batch_size)
    with sharing():
        return _bench(config, dataset, say)


def _bench(config: BenchConfig, dataset: OpenDataset, say: Callable[[str], None]) -> BenchResult:
    info, speeds = dataset.info, dict[str, Speed]()

    def measured(name: str, speed: Speed, note: str = "") -> None:
        speeds[name] = speed
        say(report.row(_LABELS[name], speed, note))

    source = fed_batches(open_training(config, dataset), config.augment, config.augment_on)
    record_bytes = source.reader.record_bytes
    model = build_compiled(config.training, info, source.num_steps)
    where = "" if source.device_strength is None else " on the device"
    for line in report.opening(config, info, record_bytes, device(), where):
        say(line)
    cold = read_cold(config, dataset)
    say(report.row("from disk, as arrays", cold.speed, report.cold_note(cold)))
    source = in_memory(source, config.window, config.seconds)
    for name, speed in reader_speeds(config, dataset, source):
        measured(name, speed)
    with reader_failure(source.reader):
        fit = partial(train_for, config.seconds, model, config.batch_size)
        # In epochs as long as the training's.
        speed, _ = fit(InputClock(), one_batch(source), source.num_steps)
        measured("model_alone", speed)
        clock = InputClock()
        speed, wait = fit(clock, feed(source, epoch=0, start_step=0, clock=clock))
        measured("together", speed, f"input wait {wait:.1%}")
    return BenchResult(
        info=info,
        record_bytes=record_bytes,
        window=config.window or default_window(info.num_records("train"), record_bytes),
        device=device(),
        cold=cold,
        speeds=speeds,
        rates=_rates(config, info, record_bytes, cold, speeds, wait),
    )


def reader_speeds(
    config: BenchConfig, dataset: OpenDataset, source: BatchSource
) -> Iterator[tuple[str, Speed]]:
    """Times the reader in all its ways.

    Args:
        config: What is measured.
        dataset: The dataset.
        source: The training split, in memory.

    Yields:
        Name in JSON, and speed.
    """
    always = in_memory(open_training(config, dataset, "always"), config.window, config.seconds)
    always = replace(always, device_strength=source.device_strength)
    yield "reader_first_epoch", time_delivery(always, config.seconds)
    yield "reader", time_delivery(source, config.seconds)
    if source.augment is not None:
        plain = replace(source, augment=None, device_strength=None)
        yield "reader_not_augmented", time_delivery(plain, config.seconds)
    yield "reader_arrays", time_arrays(replace(source, device_strength=None), config.seconds)


def _rates(
    config: BenchConfig,
    info: DatasetInfo,
    record_bytes: int,
    cold: ColdRead,
    speeds: dict[str, Speed],
    input_wait: float,
) -> report.Rates:
    """Returns the rates that decide which part is the bottleneck."""
    disk = cold.bytes_per_second
    memory = available_bytes()
    rates = {name: speed.images_per_second for name, speed in speeds.items()}
    return report.Rates(
        reader=rates["reader"],
        reader_plain=rates.get("reader_not_augmented"),
        disk=None if disk is None else disk / record_bytes,
        fits=memory is None or info.num_records("train") * record_bytes <= memory,
        model=rates["model_alone"],
        input_wait=input_wait,
        batch_size=config.batch_size,
        encoding=info.image.encoding,
    )
