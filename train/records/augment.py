"""Random small changes to a batch of training images, as a function of its place in the run.

What happens to an image follows from its `Draws` alone, so a resumed run sees the very images that
the interrupted one would have seen, and ranks see the images that one process would have seen.
Arithmetic is on integers, or on float64 in operations that IEEE 754 rounds in one way: any machine
gets the same bytes. Text is never mirrored or turned.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from train.records.draws import Bytes, Draws, Floats

Levels = np.ndarray[Any, np.dtype[np.int16]]
Indices = np.ndarray[Any, np.dtype[np.intp]]

STREAM = 2**64 - 1  # of the draws; a function that calls `augment` has all the others
FRACTION_BITS = 16  # of source coordinates, finer than a pixel shows
GAIN_BITS = 7  # of contrast and blur: (pixel - 128) * gain stays within int16 for gains below 2
PART_BYTES = 1 << 20  # of images that are changed at a time; the work takes ten times as much


@dataclass(frozen=True, kw_only=True, slots=True)
class Strength:
    """How far images are changed: half-widths of a uniform draw per image, or as it says.

    Attributes:
        shift_x: Of the width.
        shift_y: Of the height.
        scale: Of the size, separately across and down.
        shear: Columns per row.
        cut: Of the height, what shift and scale may push out at an edge.
        erase_share: Of the images lose a rectangle.
        erase_side: Of the height, the longest side of a rectangle.
        blur_share: Of the images are blurred. In (0, 1].
        blur: Of the filter [1 2 1] / 4, the strongest blur. In [0, 1].
        contrast: Of the distance from mid-grey. 128 * contrast + noise must stay below 128, or
            an int16 would overflow.
        brightness: Grey levels.
        noise: Grey levels, the largest noise of the noisiest image.
    """

    shift_x: float = 0.08
    shift_y: float = 0.08
    scale: float = 0.06
    shear: float = 0.10
    cut: float = 0.08
    erase_share: float = 0.25
    erase_side: float = 0.20
    blur_share: float = 0.25
    blur: float = 1.0
    contrast: float = 0.30
    brightness: float = 20.0
    noise: float = 12.0


# With the default, 20 epochs of about 1,000 images read 98 % of five-letter captchas and 100 % of
# printed strips that were held out; with half of the images blurred, 93 % of captchas whose digits
# stand at varying places.
DEFAULT = Strength()

STRENGTHS: dict[str, Strength] = {
    "light": Strength(  # half of all
        shift_x=0.04, shift_y=0.04, scale=0.03, shear=0.05, erase_share=0.125, blur_share=0.125,
        contrast=0.15, brightness=10.0, noise=6.0,
    ),
    "default": DEFAULT,
    "strong": Strength(  # half as much again; a rectangle that is larger would hide characters
        shift_x=0.12, shift_y=0.12, scale=0.12, shear=0.20, erase_share=0.5, blur_share=0.5,
        contrast=0.45, brightness=30.0, noise=24.0,
    ),
}  # fmt: skip
"""By name."""


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
        size = -(-len(images) // -(-changed.size // PART_BYTES))
        for start in range(0, len(images), size):
            part = draws.part(start, min(start + size, len(images)))
            changed[start : start + size] = _change(images[start : start + size], part, strength)
    return changed


def _change(images: Bytes, draws: Draws, strength: Strength) -> Levels:
    """Returns changed images: int16 in [0, 255], of the shape of `images`."""
    numbers = draws.uniform(15, stream=STREAM)
    noise = draws.noise(math.prod(images.shape[1:]), stream=STREAM)
    levels = _move(images, numbers[:5], strength)
    _erase(levels, numbers[5:11], strength)
    _blur(levels, numbers[11], strength)
    _tone(levels, numbers[12:], noise.reshape(images.shape), strength)
    return np.clip(levels, 0, 255, out=levels)


def _move(images: Bytes, draws: Floats, strength: Strength) -> Levels:
    """Shifts, scales and shears each image about its centre; edges are repeated outwards.

    Args:
        images: uint8, shape (batch, height, width, channels).
        draws: float64 in [-1, 1), shape (5, batch).
        strength: How far.

    Returns:
        int16, of the shape of `images`, of nearest source pixels.
    """
    batch, height, width, _ = images.shape
    shift_x, shift_y, scale_x, scale_y, shear = draws
    columns = _line(
        width, strength.shift_x * width * shift_x, strength.scale * scale_x, strength.cut * height
    )
    rows = _line(
        height, strength.shift_y * height * shift_y, strength.scale * scale_y, strength.cut * height
    )
    slant = strength.shear * shear[:, None] * (np.arange(height) - (height - 1) / 2)
    source_rows = np.clip(np.rint(rows), 0, height - 1).astype(np.int32)
    source_rows += np.arange(batch, dtype=np.int32)[:, None] * height
    bits = min(FRACTION_BITS, 29 - max(height, width).bit_length())  # what an int32 has room for
    source = _fixed(columns + 0.5, bits)[:, None, :] + _fixed(slant, bits)[:, :, None]
    source >>= bits
    np.clip(source, 0, width - 1, out=source)
    index = np.empty(source.shape, np.intp)
    return _gather(images, np.add(source, source_rows[:, :, None] * width, out=index))


def _line(size: int, shift: Floats, scale: Floats, cut: float) -> Floats:
    """Returns where the pixels along one side of each image come from.

    Args:
        size: Pixels along the side.
        shift: float64, shape (batch,), in pixels.
        scale: float64, shape (batch,), what the side is stretched by, as a share of it.
        cut: Pixels that may be lost at an end. Where more would be, that end stays nearer, and
            the image is squeezed: a character at the edge is never pushed out.

    Returns:
        float64, shape (batch, size), in pixels; at an end, outside [0, size).
    """
    growth = scale * ((size - 1) / 2)
    start = np.minimum(shift - growth, cut)
    stop = np.maximum(shift + growth + (size - 1), size - 1 - cut)
    return start[:, None] + (stop - start)[:, None] * (np.arange(size) / max(size - 1, 1))


def _fixed(values: Floats, bits: int) -> np.ndarray[Any, np.dtype[np.int32]]:
    """Returns coordinates as int32 with some binary places."""
    return np.rint(values * 2**bits).astype(np.int32)


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


def _erase(levels: Levels, draws: Floats, strength: Strength) -> None:
    """Paints a small rectangle of a random grey over a share of the images.

    After Zhong et al., "Random Erasing Data Augmentation", AAAI 2020; its sides follow from the
    height, as the size of characters does, so that no character is hidden.

    Args:
        levels: int16, shape (batch, height, width, channels). Changed.
        draws: float64 in [-1, 1), shape (6, batch).
        strength: How far.
    """
    _, height, width, _ = levels.shape
    chosen = np.flatnonzero(draws[0] < 2 * strength.erase_share - 1)
    longest = np.array(
        [[strength.erase_side * height], [min(strength.erase_side * height, width)]]
    ).astype(int)
    shares = (draws[1:, chosen] + 1) / 2  # in [0, 1)
    sides = np.ceil(shares[:2] * longest).astype(int)
    starts = (shares[2:4] * (np.array([[height], [width]]) - sides + 1)).astype(int)
    greys = (shares[4] * 256).astype(int)
    for image, start, stop, grey in zip(
        chosen.tolist(), starts.T.tolist(), (starts + sides).T.tolist(), greys.tolist(), strict=True
    ):
        levels[image, start[0] : stop[0], start[1] : stop[1]] = grey


def _blur(levels: Levels, draws: Floats, strength: Strength) -> None:
    """Blurs a share of the images: down and across, each pixel mixes with its neighbours.

    At a weight of 1 / 4 that is the filter [1 2 1] / 4. What one pixel gets the other loses, so
    the mean of an image stays.

    Args:
        levels: int16 in [0, 255], shape (batch, height, width, channels). Changed.
        draws: float64 in [-1, 1), shape (batch,).
        strength: How far.
    """
    strengths = strength.blur * (
        1 + (draws - 1) / (2 * strength.blur_share)
    )  # above 0 with the share's probability
    weights = np.rint(strengths * 2 ** (GAIN_BITS - 2)).astype(np.int16)
    chosen = np.flatnonzero(weights > 0)
    weight = weights[chosen, None, None, None]
    picked = levels[chosen]
    for one, other in ((picked[:, :-1], picked[:, 1:]), (picked[:, :, :-1], picked[:, :, 1:])):
        passed = other - one
        passed *= weight
        passed += 1 << (GAIN_BITS - 1)  # rounds to the nearest
        passed >>= GAIN_BITS
        one += passed
        other -= passed
    levels[chosen] = picked


def _tone(levels: Levels, draws: Floats, noise: Bytes, strength: Strength) -> None:
    """Changes contrast and brightness of each image and adds noise to each value.

    Args:
        levels: int16, shape (batch, height, width, channels). Changed.
        draws: float64 in [-1, 1), shape (3, batch).
        noise: uint8, of the shape of `levels`.
        strength: How far.
    """
    contrast, brightness, roughness = draws[:, :, None, None, None]
    gain = np.rint((1 + strength.contrast * contrast) * 2**GAIN_BITS).astype(np.int16)
    level = np.rint(128 + strength.brightness * brightness).astype(np.int16)
    amplitude = np.rint(strength.noise * np.abs(roughness)).astype(np.int16)
    rough = noise.view(np.int8) * amplitude  # in [-128, 128) * amplitude
    levels -= 128
    levels *= gain
    levels += rough
    levels >>= GAIN_BITS
    levels += level
