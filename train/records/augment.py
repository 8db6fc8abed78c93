"""Random small changes to a batch of training images, as a function of its place in the run.

What happens to an image follows from its `Draws` alone, so a resumed run sees the very images that
the interrupted one would have seen, and ranks see the images that one process would have seen.
Arithmetic is on the integers of `changes`: any machine gets the same bytes, and
`train.model.device_augmentation` makes the same ones on an accelerator. Text is never mirrored or
turned.
"""

import math
from typing import Any

import numpy as np

from train.records.augmentation_draws import (
    DEFAULT,
    GAIN_BITS,
    STREAM,
    Changes,
    Strength,
    draw_changes,
    fraction_bits,
)
from train.records.draws import Bytes, Draws, Ints

Levels = np.ndarray[Any, np.dtype[np.int16]]
Indices = np.ndarray[Any, np.dtype[np.intp]]

PART_BYTES = 1 << 20  # of images that are changed at a time; the work takes ten times as much


def augment(images: Bytes, draws: Draws, strength: Strength = DEFAULT) -> Bytes:
    """Returns a batch of text strips as other scans of the same text would show it.

    Each image is shifted, scaled and sheared a little, its contrast and brightness change, and
    noise is added; some lose a small rectangle, some are blurred. Nothing is flipped, and at most
    a sliver is pushed out at an edge, so that the characters stay readable.

    Args:
        images: uint8, shape (batch, height, width, channels). Left as it is.
        draws: Of these images.
        strength: How far they are changed.

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
    changed = np.empty(images.shape, np.uint8)
    if changed.size:
        numbers = draw_changes([draws], images.shape[1:], strength)
        size = -(-len(images) // -(-changed.size // PART_BYTES))
        for start in range(0, len(images), size):
            part = slice(start, min(start + size, len(images)))
            place = draws.part(part.start, part.stop)
            changed[part] = _change(images[part], numbers[part], place)
    return changed


def _change(images: Bytes, numbers: Ints, draws: Draws) -> Levels:
    """Returns changed images: int16 in [0, 255], of the shape of `images`."""
    changes = Changes.of(numbers, *images.shape[1:3])
    noise = draws.noise(math.prod(images.shape[1:]), stream=STREAM)
    levels = _move(images, changes)
    _erase(levels, changes)
    _blur(levels, changes)
    _tone(levels, changes, noise.reshape(images.shape))
    return np.clip(levels, 0, 255, out=levels)


def _move(images: Bytes, changes: Changes) -> Levels:
    """Shifts, scales and shears each image about its centre; edges are repeated outwards.

    Args:
        images: uint8, shape (batch, height, width, channels).
        changes: Where pixels come from.

    Returns:
        int16, of the shape of `images`, of nearest source pixels.
    """
    batch, height, width, _ = images.shape
    source = changes.columns[:, None, :] + changes.slant[:, :, None]
    source >>= fraction_bits(height, width)
    np.clip(source, 0, width - 1, out=source)
    rows = changes.rows + np.arange(batch, dtype=np.int32)[:, None] * height
    index = np.empty(source.shape, np.intp)
    return _gather(images, np.add(source, rows[:, :, None] * width, out=index))


def _gather(images: Bytes, index: Indices) -> Levels:
    """Returns pixels of a batch.

    A gather of whole pixels is several times faster than one of channels, and one of 4 bytes
    several times faster than one of 3: with three channels a pixel takes a byte of the next along.

    Args:
        images: uint8, shape (batch, height, width, channels).
        index: intp, shape (batch, height, width), in [0, batch * height * width).

    Returns:
        int16, of the shape of `images`.
    """
    *_, channels = images.shape
    if channels == 3:
        joined = np.empty(images.size + 1, np.uint8)
        joined[:-1] = images.reshape(-1)
        pixels = np.empty(index.size, np.uint32)
        pixels[:] = np.lib.stride_tricks.as_strided(joined[:4].view(np.uint32), (index.size,), (3,))
    else:
        pixels = np.ascontiguousarray(images).view(f"V{channels}").reshape(-1)
    taken = np.empty(index.shape, pixels.dtype)
    pixels.take(index, out=taken, mode="clip")  # the only mode that writes to `out` directly
    parts = taken.view(np.uint8).reshape(*index.shape, -1)
    levels = np.empty(images.shape, np.int16)
    for channel in range(channels):
        levels[..., channel] = parts[..., channel]
    return levels


def _erase(levels: Levels, changes: Changes) -> None:
    """Paints a small rectangle of a random grey over a share of the images.

    After Zhong et al., "Random Erasing Data Augmentation", AAAI 2020.

    Args:
        levels: int16, shape (batch, height, width, channels). Changed.
        changes: Where, and what with.
    """
    top, bottom, left, right = changes.box.T
    for image in np.flatnonzero((top < bottom) & (left < right)).tolist():
        levels[image, top[image] : bottom[image], left[image] : right[image]] = changes.grey[image]


def _blur(levels: Levels, changes: Changes) -> None:
    """Blurs a share of the images: down and across, each pixel mixes with its neighbours.

    At a weight of 1 / 4 that is the filter [1 2 1] / 4. What one pixel gets the other loses, so
    the mean of an image stays.

    Args:
        levels: int16 in [0, 255], shape (batch, height, width, channels). Changed.
        changes: How far.
    """
    chosen = np.flatnonzero(changes.blur[:, 0])
    weight = _each(changes.blur[chosen])
    picked = levels[chosen]
    for one, other in ((picked[:, :-1], picked[:, 1:]), (picked[:, :, :-1], picked[:, :, 1:])):
        passed = other - one
        passed *= weight
        passed += 1 << (GAIN_BITS - 1)  # rounds to the nearest
        passed >>= GAIN_BITS
        one += passed
        other -= passed
    levels[chosen] = picked


def _tone(levels: Levels, changes: Changes, noise: Bytes) -> None:
    """Changes contrast and brightness of each image and adds noise to each value.

    Args:
        levels: int16, shape (batch, height, width, channels). Changed.
        changes: How far.
        noise: uint8, of the shape of `levels`.
    """
    rough = noise.view(np.int8) * _each(changes.amplitude)  # in [-128, 128) * amplitude
    levels -= 128
    levels *= _each(changes.gain)
    levels += rough
    levels >>= GAIN_BITS
    levels += _each(changes.level)


def _each(numbers: Ints) -> Levels:
    """Returns a number of each image, int16, shape (batch, 1, 1, 1)."""
    return numbers.astype(np.int16)[:, :, None, None]
