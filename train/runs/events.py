"""TensorBoard files: written without threads, and cut back to where a checkpoint stood.

A file is a TFRecord of `Event` messages. Each session of a run writes one of its own, as
TensorBoard expects; a checkpoint notes how long the files were.
"""

from __future__ import annotations

import contextlib
import os
import re
import struct
import time
from collections.abc import Mapping
from typing import Any, Self

import google_crc32c

from convert.dataset.record import masked_crc
from convert.storage.regular_files import open_regular

_NAME = re.compile(r"events\.out\.tfevents\.\d+")


class EventFile:
    """Writes points of curves into a new file.

    tensorboardX' own writer hands events to a thread: an error of the disk ends that thread, and
    the next flush waits for it for ever.

    Args:
        folder: Made if it is not there.
    """

    def __init__(self, folder: str) -> None:
        os.makedirs(folder, exist_ok=True)
        self._folder = folder
        # TensorBoard reads files in the order of their names, and looks for `tfevents` in them.
        self.path = os.path.join(folder, f"events.out.tfevents.{time.time_ns()}")
        self._file = open(self.path, "xb")  # noqa: SIM115 (open as long as this object lives)
        self._write({"file_version": "brain.Event:2"})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):  # all that counts has been flushed
            self._file.close()

    def add_scalars(self, values: Mapping[str, float], step: int) -> None:
        """Adds a point to each of some curves: {tag: value}."""
        from tensorboardX.proto.summary_pb2 import Summary
        from tensorboardX.summary import scalar

        message = Summary()
        for tag, value in values.items():
            message.MergeFrom(scalar(tag, value))
        self.add(message, step)

    def add(self, summary: Any, step: int) -> None:
        """Adds a `Summary` message, such as the functions of `tensorboardX.summary` return."""
        self._write({"summary": summary, "step": step})

    def flush(self) -> None:
        """Brings what was added to the disk."""
        os.fsync(self._file.fileno())

    def sizes(self) -> dict[str, int]:
        """Returns how long each of the run's files is now, by name."""
        names = filter(_NAME.fullmatch, sorted(os.listdir(self._folder)))
        return {name: os.path.getsize(os.path.join(self._folder, name)) for name in names}

    def _write(self, content: Mapping[str, Any]) -> None:
        from tensorboardX.proto.event_pb2 import Event

        self._file.write(frame(Event(wall_time=time.time(), **content).SerializeToString()))
        self._file.flush()  # for those who look on


def started(folder: str) -> float | None:
    """Returns when the first of a run's files was begun, in seconds since 1970, by its name.

    Unlike the time that a file system notes, it survives a copy. None: there is no file.
    """
    names = filter(_NAME.fullmatch, os.listdir(folder) if os.path.isdir(folder) else [])
    return min((int(name.rpartition(".")[2]) / 1e9 for name in names), default=None)


def frame(payload: bytes) -> bytes:
    """Returns a TFRecord of some bytes."""
    length = struct.pack("<Q", len(payload))
    return b"".join(
        (
            length,
            struct.pack("<I", masked_crc(google_crc32c.value(length))),
            payload,
            struct.pack("<I", masked_crc(google_crc32c.value(payload))),
        )
    )


def cut_back(folder: str, sizes: Mapping[str, int]) -> list[str]:
    """Brings a run's files back to what `sizes` returned; removes those that came later.

    Files of other names are left alone.

    Returns:
        Names of files that are shorter than they were, or missing.
    """
    present = filter(_NAME.fullmatch, os.listdir(folder) if os.path.isdir(folder) else [])
    damaged = set(sizes)
    for name in present:
        path = os.path.join(folder, name)
        if name not in sizes:
            os.unlink(path)
        elif os.path.getsize(path) >= sizes[name]:
            descriptor = open_regular(path, os.O_WRONLY)
            try:
                os.ftruncate(descriptor, sizes[name])
            finally:
                os.close(descriptor)
            damaged.remove(name)
    return sorted(damaged)
