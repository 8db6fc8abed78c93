"""The printed lines of `train bench`: a row for each part, and a sentence on the bottleneck."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal

from convert.command.byte_sizes import show_bytes
from convert.config import usable_cores
from convert.dataset.info import DatasetInfo
from train.bench.cold import ColdRead
from train.bench.config import BenchConfig
from train.bench.speed import Speed

Bottleneck = Literal["model", "reader", "disk", "cpu"]

_NOTED_WAIT = 0.2  # a faster reader that keeps the model waiting so long is itself held up
_WORTH_IT = 1.2  # what makes the reader less than a fifth faster is not advised
_LARGE_BATCH = 128  # handing over costs as much as making a batch of this size

_LABEL_COLUMNS = 22
_RATE_COLUMNS = 10
_CPU_COLUMNS = 14


@dataclass(frozen=True, kw_only=True, slots=True)
class Rates:
    """What was measured, in images per second where nothing else is said.

    Attributes:
        reader: The reader alone, as training uses it, the dataset in memory.
        reader_plain: The same without augmentation; None if there is none.
        disk: What the disk gives; None if that is not known.
        fits: Whether the dataset fits into memory, so that only the first epoch is from disk.
        model: The model alone.
        input_wait: Share of the time that the model waits, both together. In [0, 1].
        batch_size: Images of a step.
        encoding: Of the images in the records.
    """

    reader: float
    reader_plain: float | None
    disk: float | None
    fits: bool
    model: float
    input_wait: float
    batch_size: int
    encoding: str

    @property
    def feeds(self) -> float:
        """Speed of an accelerator that this reader keeps busy."""
        return self.reader if self.fits or self.disk is None else min(self.reader, self.disk)

    @property
    def bottleneck(self) -> Bottleneck:
        """What holds the training up."""
        if self.feeds < min(self.reader, self.model):
            return "disk"
        if self.reader < self.model:
            return "reader"
        return "cpu" if self.input_wait > _NOTED_WAIT else "model"

    @property
    def sentence(self) -> str:
        """What holds the training up, what to do about it, and what this reader could feed."""
        waits = f"waits {self.input_wait:.1%} of the time"
        takes = f"the model takes {rounded(self.model)} images/s"
        finding = {
            "model": f"the model is the bottleneck: it takes {1 - self.input_wait:.1%} of a step",
            "reader": f"the reader is the bottleneck: {takes} and {waits}",
            "disk": f"the disk is the bottleneck: the dataset is larger than memory, and {takes}",
            "cpu": f"the CPU is the bottleneck: reader and model share it, and the model {waits}",
        }[self.bottleneck]
        return f"{finding}; {self._feeds()}; {self._advice()}"

    def _feeds(self) -> str:
        """Says how fast an accelerator the reader could feed, and what changes that."""
        others = []
        if self._plain_is_faster and self.feeds == self.reader:
            others.append(f"{rounded(self.reader_plain or 0)} with --no-augment")
        if self.fits and self.disk is not None and self.disk < self.reader:
            others.append(f"{rounded(self.disk)} in a first epoch from disk")
        told = f"this reader could feed an accelerator of {rounded(self.feeds)} images/s"
        return told + (f" ({', '.join(others)})" if others else "")

    def _advice(self) -> str:
        """Says what would make training faster."""
        if self.bottleneck == "model":
            return "only a faster model or accelerator helps"
        if self.bottleneck == "disk":
            return "a faster disk helps, or more memory"
        means = []
        if self._plain_is_faster:
            means.append("--no-augment")
        if self.encoding != "raw":
            means.append("converting with --encoding raw")
        if self.batch_size < _LARGE_BATCH:
            means.append("a larger --batch-size")
        *some, last = [*means, "more CPU cores"]
        return f"{', '.join(some)}{' or ' if some else ''}{last} would help"

    @property
    def _plain_is_faster(self) -> bool:
        return self.reader_plain is not None and self.reader_plain > _WORTH_IT * self.reader


def rounded(number: float) -> str:
    """Returns a number with three significant digits: repeated measurements differ in the rest."""
    value = float(f"{number:.3g}")
    return f"{value:,.0f}" if value >= 100 else f"{value:g}"


def opening(
    config: BenchConfig, info: DatasetInfo, record_bytes: int, device: str, where: str = ""
) -> list[str]:
    """Returns the first lines: dataset, machine and the table's head.

    Args:
        config: What is measured.
        info: The dataset.
        record_bytes: Bytes of a record.
        device: What Keras computes on.
        where: Where images are augmented, if that is to be said.
    """
    height, width, channels = info.image_shape
    records, cores = info.num_records("train"), usable_cores()
    how = {"none": "not augmented", "default": f"augmented{where}"}.get(
        config.augment, f"augmented{where} ({config.augment})"
    )
    return [
        f"{os.path.normpath(config.dataset)}: {records:,} {info.image.encoding} images "
        f"{width}x{height}x{channels} to train on, {show_bytes(records * record_bytes, 'MB', 1)}; "
        f"batches of {config.batch_size}, {how}",
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
