"""TensorBoard's files, read with our own eyes: TensorBoard would bring pillow along."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tensorboardX.proto.event_pb2 import Event


class Point(NamedTuple):
    """What a tag has at a step: a `Summary.Value`."""

    tag: str
    step: int
    value: Any

    @property
    def kind(self) -> str:
        """`simple_value`, `histo`, `image` or `tensor`."""
        return self.value.WhichOneof("value")

    @property
    def text(self) -> str:
        return self.value.tensor.string_val[0].decode()

    @property
    def buckets(self) -> tuple[np.ndarray, np.ndarray]:
        """Right ends of a histogram's buckets, and their counts."""
        return np.array(self.value.histo.bucket_limit), np.array(self.value.histo.bucket)


def read_points(run: Path) -> list[Point]:
    """Returns all that a run's event files hold, in TensorBoard's order."""
    found = []
    for file in sorted((run / "events").iterdir()):
        data = file.read_bytes()
        while data:
            length = int.from_bytes(data[:8], "little")
            event = Event.FromString(data[12 : 12 + length])
            data = data[16 + length :]
            found += [Point(value.tag, event.step, value) for value in event.summary.value]
    return found


def steps_of(run: Path, tag: str) -> list[int]:
    return [point.step for point in read_points(run) if point.tag == tag]
