"""Times reading a dataset from disk: drops it from the page cache first.

Only of it: /proc/sys/vm/drop_caches would also take what others on the machine have read, needs
the rights of an administrator, and drops no page that posix_fadvise does not.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

from convert.dataset.read import OpenDataset
from convert.storage.regular_files import open_regular
from train.bench.batches import open_training
from train.bench.config import BenchConfig
from train.bench.speed import Speed, timed
from train.errors import ShardfeedError
from train.input.numpy_dataset import iterate
from train.records.reading.reader import RecordReader

_IO = Path("/proc/self/io")
_MOSTLY = 0.9  # some pages stay: those that somebody has mapped, those that were just written


@dataclass(frozen=True, kw_only=True, slots=True)
class ColdRead:
    """What reading from disk came to.

    Attributes:
        speed: Of the images that were delivered.
        image_bytes: Bytes of these images' records.
        disk_bytes: Bytes that came from disk meanwhile, read ahead of the images or with them.
            None: the system does not tell.
        dropped: Whether the page cache was emptied of the dataset first.
    """

    speed: Speed
    image_bytes: int
    disk_bytes: int | None
    dropped: bool

    @property
    def share_from_disk(self) -> float | None:
        """Share of the images' bytes that came from disk. In [0, 1]; None: not known."""
        return None if self.disk_bytes is None else min(1.0, self.disk_bytes / self.image_bytes)

    @property
    def bytes_per_second(self) -> float | None:
        """How fast the disk was read; None where too much came from memory to tell."""
        if not self.dropped:
            return None
        if self.disk_bytes is None:
            return self.image_bytes / self.speed.seconds
        if self.disk_bytes < _MOSTLY * self.image_bytes:
            return None
        return self.disk_bytes / self.speed.seconds


def read_cold(config: BenchConfig, dataset: OpenDataset) -> ColdRead:
    """Reads the first epoch of training from disk, as arrays, CRCs compared, nothing augmented.

    A process of its own does it: what this one has mapped would stay in memory, and what is still
    being read ahead in the end would slow down whatever is measured next.

    Args:
        config: What is measured.
        dataset: The dataset; the process opens the same folder, or none.

    Raises:
        ShardfeedError: The dataset cannot be read.
    """
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(
        target=_serve, args=(config, dataset, there), name="read cold", daemon=True
    )
    process.start()
    there.close()
    try:
        answer = here.recv()
    except EOFError:
        process.join()
        raise ShardfeedError(
            f"{config.dataset}: the process that read it from disk died, with code "
            f"{process.exitcode}. Look at the files with `convert verify {config.dataset}`."
        ) from None
    finally:
        process.kill()
        process.join()
    if isinstance(answer, ShardfeedError):
        raise answer
    cold: ColdRead = answer
    return cold


def drop_from_cache(descriptors: Iterable[int]) -> bool:
    """Lets the system forget what it keeps of open files in memory; returns whether it can."""
    if not hasattr(os, "posix_fadvise"):  # macOS
        return False
    for descriptor in descriptors:
        with contextlib.suppress(OSError):  # only what is on disk can be dropped
            os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    return True


def _descriptors(reader: RecordReader) -> Iterator[int]:
    """Opens the files of this machine that records are read from, one after the other.

    Yields:
        A descriptor, closed before the next one is opened.
    """
    if reader.far is None:
        openings = [partial(file.folder.open, file.shard.file) for file in reader.files]
    else:
        openings = [partial(open_regular, path, os.O_RDONLY) for path in reader.far.paths()]
    for opening in openings:
        descriptor = opening()
        try:
            yield descriptor
        finally:
            os.close(descriptor)


def disk_bytes() -> int | None:
    """Returns the bytes that this process has read from disks; None if not known."""
    try:
        lines = _IO.read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("read_bytes")), None)


def _serve(config: BenchConfig, dataset: OpenDataset, answer: Connection) -> None:
    """Reads in the process of its own, and sends what came of it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends this process
    try:
        answer.send(_read(config, dataset))
    except ShardfeedError as error:
        answer.send(error)


def _read(config: BenchConfig, dataset: OpenDataset) -> ColdRead:
    source = replace(open_training(config, dataset), augment=None)
    # Of each shard the first and the last record are mapped by now, and stay.
    dropped = drop_from_cache(_descriptors(source.reader))
    before = disk_bytes()
    speed = timed(iterate(source, 0), config.batch_size, config.seconds)
    after = disk_bytes()
    return ColdRead(
        speed=speed,
        image_bytes=speed.images * source.reader.record_bytes,
        disk_bytes=None if before is None or after is None else after - before,
        dropped=dropped,
    )
