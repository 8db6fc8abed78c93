"""Resizes a crop to the size of records: stretched, or scaled and padded."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

from convert.config import Fit

Part = tuple[float, float, float, float]
"""Left, top, right, bottom in fractions of pixels; half-open."""


def fit_to(
    image: Image.Image,
    part: Part,
    shape: tuple[int, int],
    size: tuple[int, int],
    fit: Fit,
    resample: Image.Resampling,
) -> Image.Image:
    """Returns the part of an image in the size of records.

    Args:
        image: RGB or RGBA pixels.
        part: What of them is wanted.
        shape: (width, height) of that part in pixels of the source.
        size: (width, height) of the result.
        fit: How another shape comes to it.
        resample: Filter of the resizing.
    """
    inner = inner_size(shape, size) if fit == "pad" else size
    if inner == size:
        return image.resize(size, resample, part)
    resized = image.resize(inner, resample, part).convert("RGB")
    if image.mode == "RGBA":  # resizing mixes by opacity, so what is see-through becomes black
        colour = border_colour(resized, (0, 0, *inner))
    else:
        colour = border_colour(image, part)
    canvas = Image.new("RGB", size, colour)
    place = ((size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2)
    canvas.paste(resized, place)
    return canvas


def inner_size(shape: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """Returns the largest size of a shape that fits inside `size`; halves are rounded up."""
    (width, height), (columns, rows) = shape, size
    if width * rows > height * columns:
        return columns, max(1, (2 * height * columns + width) // (2 * width))
    return max(1, (2 * width * rows + height) // (2 * height)), rows


def border_colour(image: Image.Image, part: Part) -> tuple[int, int, int]:
    """Returns the median colour of the outermost pixels of a part, channel by channel.

    Each pixel of the border counts once. Of an even number of pixels it is
    the lower one of the two in the middle, so the result is a value that occurs.
    """
    left, top = math.floor(part[0]), math.floor(part[1])
    right, bottom = math.ceil(part[2]), math.ceil(part[3])
    edges = [(left, top, right, top + 1), (left, top + 1, left + 1, bottom)]
    if bottom - top > 1:
        edges.append((left + 1, bottom - 1, right, bottom))
    if right - left > 1:
        edges.append((right - 1, top + 1, right, bottom - 1))
    pixels = np.concatenate(
        [
            np.asarray(image.crop(edge).convert("RGB")).reshape(-1, 3)
            for edge in edges
            if edge[0] < edge[2] and edge[1] < edge[3]
        ]
    )
    red, green, blue = np.sort(pixels, axis=0)[(len(pixels) - 1) // 2].tolist()
    return red, green, blue
