"""Measures images per second and CPU time per image."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Speed:
    """What was measured of images that went by.

    Attributes:
        images: Their number. At least 1.
        seconds: Time that they took.
        cpu_seconds: CPU time of all the process's threads meanwhile.
    """

    images: int
    seconds: float
    cpu_seconds: float

    @property
    def images_per_second(self) -> float:
        """Images in a second."""
        return self.images / self.seconds

    @property
    def cpu_microseconds(self) -> float:
        """CPU time of an image, in microseconds."""
        return self.cpu_seconds / self.images * 1e6

    def to_json(self) -> dict[str, float]:
        """Returns the numbers by name."""
        return {
            "images": self.images,
            "seconds": self.seconds,
            "images_per_second": self.images_per_second,
            "cpu_microseconds_per_image": self.cpu_microseconds,
        }


class Stopwatch:
    """Runs from when it is made."""

    def __init__(self) -> None:
        self._started = time.perf_counter()
        self._cpu = time.process_time()  # of all threads

    @property
    def seconds(self) -> float:
        """Time so far."""
        return time.perf_counter() - self._started

    def speed(self, images: int) -> Speed:
        """Returns the speed of images that went by since it runs."""
        cpu_seconds = time.process_time() - self._cpu
        return Speed(images=images, seconds=max(self.seconds, 1e-9), cpu_seconds=cpu_seconds)


def timed(batches: Iterable[Any], batch_size: int, seconds: float, skip: int = 0) -> Speed:
    """Takes batches for some time, at least one of them.

    Args:
        batches: What to take from.
        batch_size: Images of each batch.
        seconds: When to stop, if the batches have not ended by then.
        skip: Batches taken before the time begins.
    """
    iterator = iter(batches)
    for _ in itertools.islice(iterator, skip):
        pass
    watch, steps = Stopwatch(), 0
    for _ in iterator:
        steps += 1
        if watch.seconds >= seconds:
            break
    return watch.speed(steps * batch_size)
