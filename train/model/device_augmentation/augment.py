"""Augmentation on the accelerator that trains: the bytes of `train.records.augment`, elsewhere.

The host draws a few integers an image (`train.records.augmentation_draws`) and sends them beside
the images; here they are applied, by whole-number arithmetic on any backend of Keras. On a CPU
that takes ten times as long as the host's own code.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from keras import ops

from train.model.device_augmentation.philox import add, philox
from train.records.augmentation_draws import GAIN_BITS, STREAM, Changes, fraction_bits
from train.records.draws import BLOCK_WORDS, NOISE

_BYTE_SHIFTS = np.arange(0, 32, 8, dtype=np.uint32)  # the lowest byte first, as in `Draws.noise`
_ROUNDING = 1 << (GAIN_BITS - 1)


def augmented(batch: tuple[Any, ...]) -> tuple[Any, ...]:
    """Changes a training batch's images, if it says how; returns any other batch as it is.

    Args:
        batch: Images, or a pair of images and what `draw_changes` returned for them; then the
            rest, such as labels.

    Returns:
        Images and the rest.
    """
    images, *rest = batch
    if isinstance(images, tuple | list):
        images = augment_on_device(*images)
    return images, *rest


def augment_on_device(images: Any, numbers: Any) -> Any:
    """Returns a batch of images as `train.records.augment.augment` changes them, to the last bit.

    Args:
        images: uint8, shape (batch, height, width, channels).
        numbers: int32, shape (batch, `num_changes`), from `draw_changes`.

    Returns:
        uint8, of the shape of `images`.
    """
    _, height, width, channels = images.shape
    changes = Changes.of(numbers, height, width)
    levels = _move(images, changes)
    levels = _erase(levels, changes)
    levels = _blur(levels, changes)
    levels = _tone(levels, changes, _noise(changes.noise, (height, width, channels)))
    return ops.cast(ops.clip(levels, 0, 255), "uint8")


def _move(images: Any, changes: Changes) -> Any:
    """Returns the nearest source pixels, int32."""
    _, height, width, channels = images.shape
    source = changes.columns[:, None, :] + changes.slant[:, :, None]
    source = _shifted(source, fraction_bits(height, width))
    index = changes.rows[:, :, None] * width + ops.clip(source, 0, width - 1)
    pixels = ops.reshape(images, (-1, height * width, channels))
    taken = ops.take_along_axis(pixels, ops.reshape(index, (-1, height * width, 1)), axis=1)
    return ops.cast(ops.reshape(taken, (-1, height, width, channels)), "int32")


def _erase(levels: Any, changes: Changes) -> Any:
    """Paints rectangles over."""
    _, height, width, _ = levels.shape
    top, bottom, left, right = (changes.box[:, at : at + 1] for at in range(4))
    rows, columns = np.arange(height, dtype=np.int32), np.arange(width, dtype=np.int32)
    inside = ops.logical_and(
        ops.logical_and(top <= rows, bottom > rows)[:, :, None],
        ops.logical_and(left <= columns, right > columns)[:, None, :],
    )
    return ops.where(inside[..., None], _each(changes.grey), levels)


def _blur(levels: Any, changes: Changes) -> Any:
    """Mixes pixels with their neighbours, down and across."""
    for axis in (1, 2):
        if levels.shape[axis] > 1:
            others = (slice(None),) * axis
            step = levels[*others, 1:] - levels[*others, :-1]
            passed = _shifted(step * _each(changes.blur) + _ROUNDING, GAIN_BITS)
            levels = levels + _padded(passed, axis, (0, 1)) - _padded(passed, axis, (1, 0))
    return levels


def _tone(levels: Any, changes: Changes, noise: Any) -> Any:
    """Changes contrast and brightness, and adds noise, int32 in [-128, 128)."""
    rough = noise * _each(changes.amplitude)
    levels = (levels - 128) * _each(changes.gain) + rough
    return _shifted(levels, GAIN_BITS) + _each(changes.level)


def _noise(origins: Any, shape: tuple[int, ...]) -> Any:
    """Returns what `Draws.noise` does as int8.

    Args:
        origins: int32, shape (batch, 6), from `Draws.noise_origins`.
        shape: Of an image.

    Returns:
        int32 in [-128, 128), shape (batch, *shape).
    """
    num_bytes = math.prod(shape)
    num_blocks = -(-num_bytes // (8 * BLOCK_WORDS))
    words = ops.cast(origins, "uint32")
    first, *key = ((words[:, at : at + 1], words[:, at + 1 : at + 2]) for at in (0, 2, 4))
    counter = add(first, (np.arange(num_blocks, dtype=np.uint32), np.uint32(0)))
    blocks = philox(counter, (STREAM, NOISE, 0), key)
    halves = ops.stack([half for word in blocks for half in word], axis=-1)
    levels = ops.right_shift(halves[..., None], _BYTE_SHIFTS) & np.uint32(0xFF)
    levels = ops.reshape(levels, (-1, num_blocks * 8 * BLOCK_WORDS))[:, :num_bytes]
    # As int8: 128 to 255 are below 0.
    return ops.reshape(ops.cast(levels ^ np.uint32(0x80), "int32") - 128, (-1, *shape))


def _shifted(numbers: Any, bits: int) -> Any:
    """Returns the floor of int32 numbers divided by 2**bits."""
    return ops.right_shift(numbers, np.int32(bits))


def _padded(numbers: Any, axis: int, widths: tuple[int, int]) -> Any:
    """Adds zeros before and after, along an axis."""
    return ops.pad(numbers, [widths if at == axis else (0, 0) for at in range(4)])


def _each(numbers: Any) -> Any:
    """Gives a number of each image the shape (batch, 1, 1, 1)."""
    return numbers[:, :, None, None]
