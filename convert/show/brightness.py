"""How bright images are, and which of them show nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from convert.show.sample import SampledRecord

Ints = np.ndarray[Any, np.dtype[Any]]

_LEVELS = np.arange(256)  # of an 8-bit channel


@dataclass(frozen=True, kw_only=True, slots=True)
class Brightness:
    """How bright some images are.

    Attributes:
        images: How many were looked at.
        mean: Of all pixels and channels, in [0, 255].
        deviation: The standard deviation of the same.
        channel_means: Mean of each channel.
        num_grey: Images whose channels are all equal.
        empty_rows: Manifest rows of the images that are one colour all over.
    """

    images: int
    mean: float
    deviation: float
    channel_means: tuple[float, ...]
    num_grey: int
    empty_rows: tuple[int, ...]

    def to_json(self) -> dict[str, Any]:
        """Returns the part of the summary that `--json` prints."""
        return {
            "images": self.images,
            "mean": round(self.mean, 3),
            "deviation": round(self.deviation, 3),
            "channel_means": [round(mean, 3) for mean in self.channel_means],
            "grey_images": self.num_grey,
            "empty_images": len(self.empty_rows),
        }


def measure(records: Iterable[SampledRecord], num_channels: int) -> Brightness | None:
    """Measures images.

    Args:
        records: Whose images to measure; they are taken one by one.
        num_channels: Of each image.

    Returns:
        The measurements, or None of no records.
    """
    counts = np.zeros((num_channels, len(_LEVELS)), np.int64)
    images = num_grey = 0
    empty = []
    for record in records:
        histogram = np.array(record.image.histogram()).reshape(num_channels, -1)
        counts += histogram
        images += 1
        num_grey += _is_grey(record.image)
        if (np.count_nonzero(histogram, axis=1) == 1).all():
            empty.append(record.row)
    if not images:
        return None
    mean, deviation = _moments(counts.sum(axis=0))
    return Brightness(
        images=images,
        mean=mean,
        deviation=deviation,
        channel_means=tuple(_moments(channel)[0] for channel in counts),
        num_grey=num_grey,
        empty_rows=tuple(sorted(empty)),
    )


def _is_grey(image: Image.Image) -> bool:
    first, *others = (channel.tobytes() for channel in image.split())
    return all(other == first for other in others)


def _moments(counts: Ints) -> tuple[float, float]:
    """Returns mean and standard deviation of pixels that are counted by their level."""
    total = int(counts.sum())
    mean = float(counts @ _LEVELS) / total
    variance = float(counts @ np.square(_LEVELS - mean)) / total
    return mean, variance**0.5
