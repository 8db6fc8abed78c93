"""The printed lines of `train bench`, one for each part."""

from __future__ import annotations

import os

from convert.command.byte_sizes import show_bytes
from convert.config import usable_cores
from convert.dataset.info import DatasetInfo
from train.bench.bottleneck import rounded
from train.bench.cold import ColdRead
from train.bench.config import BenchConfig
from train.bench.speed import Speed

_LABEL_COLUMNS = 22
_RATE_COLUMNS = 10
_CPU_COLUMNS = 14


def opening(config: BenchConfig, info: DatasetInfo, record_bytes: int, device: str) -> list[str]:
    """Returns the first lines: dataset, machine and the table's head."""
    height, width, channels = info.image_shape
    records, cores = info.num_records("train"), usable_cores()
    return [
        f"{os.path.normpath(config.dataset)}: {records:,} {info.image.encoding} images "
        f"{width}x{height}x{channels} to train on, {show_bytes(records * record_bytes, 'MB', 1)}; "
        f"batches of {config.batch_size}, {'augmented' if config.augment else 'not augmented'}",
        f"Keras on {device}; {cores} CPU core{'s' * (cores > 1)}; "
        f"load average {os.getloadavg()[0]:.1f}; up to {config.seconds:g} s a measurement",
        "",
        f"{'':{_LABEL_COLUMNS}}{'images/s':>{_RATE_COLUMNS}}{'CPU us/image':>{_CPU_COLUMNS}}",
    ]


def row(label: str, speed: Speed, note: str = "") -> str:
    """Returns a line of the table."""
    rate, cpu = rounded(speed.images_per_second), rounded(speed.cpu_microseconds)
    line = f"{label:{_LABEL_COLUMNS}}{rate:>{_RATE_COLUMNS}}{cpu:>{_CPU_COLUMNS}}  {note}"
    return line.rstrip()


def cold_note(cold: ColdRead) -> str:
    """Returns how the disk was read."""
    if not cold.dropped:
        return "maybe from memory: the page cache cannot be emptied here"
    if cold.bytes_per_second is None:
        return f"only {cold.share_from_disk:.0%} from disk: something keeps the rest in memory"
    told = f"{rounded(cold.bytes_per_second / 1e6)} MB/s, page cache emptied of the dataset before"
    return told if cold.disk_bytes is not None else f"{told}, if the system dropped it"
