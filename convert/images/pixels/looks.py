"""Finds odd pictures: of one colour, nearly black, or of another shape."""

from __future__ import annotations

import numpy as np
from PIL import Image

from convert.images.oddities import Oddity
from convert.images.pixels.colours import SIXTEEN_BIT_GREY

NEARLY_BLACK = 31
"""No value of a nearly black image is above this one, of 255: an eighth of the range."""

_TWELVE_BITS = 1 << 12
_PROBES = 17  # values looked at first; an ordinary picture shows there that it is not dark


def look_of(pixels: bytes, channels: int) -> Oddity | None:
    """Returns the oddity of a record's image: one colour, or nearly black; None if it has none.

    Args:
        pixels: uint8, row-major.
        channels: Of each pixel.
    """
    first = pixels[:channels]
    # Nearly every picture differs within its first pixels, which costs less than to compare all.
    if pixels.startswith(first * min(8, len(pixels) // channels)) and (
        pixels == first * (len(pixels) // channels)
    ):
        return "one_colour"
    if max(pixels[:: len(pixels) // _PROBES + 1]) > NEARLY_BLACK:
        return None
    return "nearly_black" if np.frombuffer(pixels, np.uint8).max() <= NEARLY_BLACK else None


def shape_of(shape: tuple[int, int], size: tuple[int, int]) -> tuple[Oddity, ...]:
    """Compares the shape of a crop with that of the records it is resized to.

    Returns first the oddity of another shape, then the one of a turned shape.

    Args:
        shape: (width, height) of the crop.
        size: (width, height) of records.
    """
    wide, high = shape[0] * size[1], shape[1] * size[0]
    if 2 * max(wide, high) <= 3 * min(wide, high):  # by a factor of at most 1.5
        return ()
    # Upright into lying, or the other way about.
    if (shape[0] - shape[1]) * (size[0] - size[1]) < 0:
        return ("other_shape", "turned_shape")
    return ("other_shape",)


def uses_few_bits(image: Image.Image) -> bool:
    """Returns whether 16-bit values, some of which are not 0, are all below 4096."""
    if image.mode in SIXTEEN_BIT_GREY:
        return bool(0 < np.asarray(image).max() < _TWELVE_BITS)
    # Of other modes Pillow has kept the high byte.
    bands = [band for band in image.getbands() if band != "A"]
    high = max(int(np.asarray(image.getchannel(band)).max()) for band in bands)
    return bool(0 < high < _TWELVE_BITS >> 8)
