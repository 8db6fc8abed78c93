"""Random small changes to a batch of training images, as a function of its place in the run.

What happens to an image follows from its `Draws` alone, so a resumed run sees the very images that
the interrupted one would have seen, and ranks see the images that one process would have seen.
Arithmetic is on integers, or on float64 in operations that IEEE 754 rounds in one way: any machine
gets the same bytes. Text is never mirrored or turned.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from train.draws import Bytes, Draws, Floats

Augment = Callable[[Bytes, Draws], Bytes]
"""Changes a batch: uint8 images, shape (batch, height, width, channels), to some of that shape."""

STREAM = 2**64 - 1  # of the draws; a function that calls `augment` has all the others
NUM_DRAWS = 8

# Strengths, each the half-width of a uniform draw per image. With these, 20 epochs of about 1,000
# images read 98 % of five-letter captchas and 100 % of printed strips that were held out, and 87 %
# of captchas whose digits stand at varying places.
SHIFT_X = 0.08  # of the width
SHIFT_Y = 0.08  # of the height
SCALE = 0.06  # of the size, separately across and down
SHEAR = 0.10  # columns per row
CONTRAST = 0.30  # of the distance from mid-grey
BRIGHTNESS = 20.0  # grey levels
NOISE = 12.0  # grey levels, the largest noise of the noisiest image

FRACTION_BITS = 16  # of source coordinates: 2 ** 15 columns fit an int32, finer than a pixel shows
GAIN_BITS = 7  # of the contrast: (pixel - 128) * gain stays within int16 for gains below 2


def augment(images: Bytes, draws: Draws) -> Bytes:
    """Returns a batch with each image moved, stretched, lightened and roughened a little.

    Args:
        images: uint8, shape (batch, height, width, channels). Left as it is.
        draws: Of these images.

    Returns:
        uint8, a new array of the shape of `images`. Equal arguments give equal bytes, and an image
        gets the same bytes whichever others of its global batch are beside it.

    Raises:
        ValueError: `images` is not a uint8 batch, or of another size than `draws`.
    """
    if images.dtype != np.uint8 or images.ndim != 4:
        raise ValueError(
            "`images` must be uint8 with shape (batch, height, width, channels), "
            f"got {images.dtype} with shape {images.shape}."
        )
    if len(images) != draws.count:
        raise ValueError(f"`draws` are for {draws.count} images, got {len(images)}.")
    numbers = draws.uniform(NUM_DRAWS, stream=STREAM)
    noise = draws.noise(math.prod(images.shape[1:]), stream=STREAM)
    return _tone(_move(images, numbers[:5]), numbers[5:], noise.reshape(images.shape))


def _move(images: Bytes, draws: Floats) -> Bytes:
    """Shifts, scales and shears each image about its centre; edges are repeated outwards.

    Args:
        images: uint8, shape (batch, height, width, channels).
        draws: float64 in [-1, 1), shape (5, batch).

    Returns:
        uint8, a new array of the shape of `images`, of nearest source pixels.
    """
    batch, height, width, channels = images.shape
    shift_x, shift_y, scale_x, scale_y, shear = draws[:, :, None]
    across = np.arange(width) - (width - 1) / 2
    down = np.arange(height) - (height - 1) / 2
    columns = across * (1 + SCALE * scale_x) + (width - 1) / 2 + SHIFT_X * width * shift_x
    rows = down * (1 + SCALE * scale_y) + (height - 1) / 2 + SHIFT_Y * height * shift_y
    source_rows = np.clip(np.rint(rows), 0, height - 1).astype(np.intp)
    source_rows += np.arange(batch)[:, None] * height
    source = _fixed(columns + 0.5)[:, None, :] + _fixed(SHEAR * shear * down)[:, :, None]
    source >>= FRACTION_BITS
    np.clip(source, 0, width - 1, out=source)
    index = source + source_rows[:, :, None] * width
    # One item per pixel: a gather of whole pixels is several times faster than one of channels.
    pixels = np.ascontiguousarray(images).view(f"V{channels}").reshape(-1)
    return pixels.take(index).view(np.uint8).reshape(images.shape)


def _fixed(values: Floats) -> np.ndarray[Any, np.dtype[np.int32]]:
    """Returns coordinates as int32 with FRACTION_BITS binary places."""
    return np.rint(values * 2**FRACTION_BITS).astype(np.int32)


def _tone(images: Bytes, draws: Floats, noise: Bytes) -> Bytes:
    """Changes contrast and brightness of each image and adds noise to each value.

    Args:
        images: uint8, shape (batch, height, width, channels).
        draws: float64 in [-1, 1), shape (3, batch).
        noise: uint8, of the shape of `images`.

    Returns:
        uint8, a new array of the shape of `images`.
    """
    contrast, brightness, roughness = draws[:, :, None, None, None]
    gain = np.rint((1 + CONTRAST * contrast) * 2**GAIN_BITS).astype(np.int16)
    amplitude = np.rint(NOISE * np.abs(roughness)).astype(np.int16)
    level = np.rint(128 + BRIGHTNESS * brightness).astype(np.int16)
    rough = noise.view(np.int8) * amplitude
    rough >>= 7  # int8 is in [-128, 128)
    values = images.astype(np.int16)
    values -= 128
    values *= gain
    values >>= GAIN_BITS
    values += level
    values += rough
    return np.clip(values, 0, 255, out=values).astype(np.uint8)
