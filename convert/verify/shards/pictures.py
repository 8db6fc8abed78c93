"""The image of a record, decoded; and compared with the source that it was made from."""

from __future__ import annotations

from typing import Any

import numpy as np

from convert.config import Box
from convert.dataset.info import DatasetInfo
from convert.errors import ImageError
from convert.images import decode_error, open_image, render
from convert.images.sources.prefetch import Content
from convert.verify.findings import Kind

# Another libjpeg rounds otherwise, by less than one of 256 levels on average.
_JPEG_LEVELS = 1.0

Bytes = np.ndarray[Any, np.dtype[np.uint8]]


def decode(content: bytes, info: DatasetInfo) -> Bytes:
    """Returns the pixels of a record's image, uint8, shape (height, width, channels).

    Args:
        content: Raw pixels, or a PNG or JPEG file.
        info: The dataset.

    Raises:
        ImageError: It is no image of the dataset's encoding and size.
    """
    height, width, channels = info.image_shape
    if info.is_raw:
        return np.frombuffer(content, np.uint8).reshape(info.image_shape)
    image = open_image(content, height * width)
    mode = "RGB" if channels == 3 else "L"
    found = f"{image.format} of {image.width}x{image.height} in mode {image.mode}"
    expected = f"{info.image.encoding.upper()} of {width}x{height} in mode {mode}"
    if found != expected:
        raise ImageError("damaged", f"{found}, expected {expected}")
    try:
        return np.asarray(image).reshape(info.image_shape)
    except Exception as error:  # whatever the decoder stumbles over
        raise decode_error(image, error) from error


def compare(
    content: bytes, source: Content, box: Box | None, info: DatasetInfo
) -> tuple[Kind, str] | None:
    """Makes a record's image again from its source, and compares.

    Args:
        content: The record's image; it can be decoded.
        source: The source file, or why there is none.
        box: The row's own crop box, if it has one.
        info: The dataset.

    Returns:
        What differs and how, or None.

    Raises:
        MemoryError: The source does not fit in memory.
    """
    try:
        if not isinstance(source, bytes):
            raise source
        again = render(source, info.image, box).content
    except ImageError as error:
        return "source_changed", f"{error.reason}, {error.detail}"
    if again == content:
        return None
    levels = np.abs(decode(content, info).astype(np.int16) - decode(again, info))
    tolerated = _JPEG_LEVELS if info.image.encoding == "jpeg" else 0.0
    if float(levels.mean()) <= tolerated:
        return None
    pixels = int(levels.any(axis=2).sum())
    total = levels.shape[0] * levels.shape[1]
    return "pixels_differ", (
        f"{pixels:,} of {total:,} pixels, by up to {int(levels.max())} of 255 levels"
    )
