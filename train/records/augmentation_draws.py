"""What happens to each image of a batch at random, drawn as integers; see `augment`.

A host and an accelerator that apply the same integers make the same bytes. All arithmetic on
floating-point numbers is here: float64, in operations that IEEE 754 rounds in one way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from train.records.draws import Draws, Floats, Ints

STREAM = 2**64 - 1  # of the draws; a function that calls `augment` has all the others
FRACTION_BITS = 16  # of source coordinates, finer than a pixel shows
GAIN_BITS = 7  # of contrast and blur: (pixel - 128) * gain stays within int16 for gains below 2


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


@dataclass(frozen=True, slots=True)
class Changes:
    """The columns of what `draw_changes` returns, by name: arrays of NumPy or of a backend.

    Attributes:
        noise: Shape (batch, 6), what the noise is made from; see `Draws.noise_origins`.
        box: Shape (batch, 4), rows [top, bottom) and columns [left, right) that are painted over;
            empty in most images.
        grey: Shape (batch, 1), what with. In [0, 256).
        blur: Shape (batch, 1), weight of a neighbour in units of 2**-GAIN_BITS; 0: no blur.
        gain: Shape (batch, 1), of contrast, in units of 2**-GAIN_BITS.
        level: Shape (batch, 1), what mid-grey becomes.
        amplitude: Shape (batch, 1), of the noise, in units of 2**-GAIN_BITS a step of an int8.
        columns: Shape (batch, width), where pixels come from before they are slanted, plus a half,
            in units of 2**-`fraction_bits`.
        rows: Shape (batch, height), where rows come from. In [0, height).
        slant: Shape (batch, height), added to the columns of a row, in their unit.
    """

    noise: Any
    box: Any
    grey: Any
    blur: Any
    gain: Any
    level: Any
    amplitude: Any
    columns: Any
    rows: Any
    slant: Any

    @classmethod
    def of(cls, numbers: Any, height: int, width: int) -> Changes:
        """Names the columns of what `draw_changes` returned for images of this size."""
        sizes = (*_SIZES, width, height, height)
        ends = [sum(sizes[: index + 1]) for index in range(len(sizes))]
        pairs = zip(ends, sizes, strict=True)
        return cls(*(numbers[:, end - size : end] for end, size in pairs))


_SIZES = (6, 4, 1, 1, 1, 1, 1)  # of the columns that do not depend on the images' size


def num_changes(height: int, width: int) -> int:
    """Returns how many integers say what happens to an image."""
    return sum(_SIZES) + width + 2 * height


def fraction_bits(height: int, width: int) -> int:
    """Returns the binary places of source columns: what an int32 has room for."""
    return min(FRACTION_BITS, 29 - max(height, width).bit_length())


def draw_changes(places: Sequence[Draws], image_shape: tuple[int, ...], strength: Strength) -> Ints:
    """Draws what happens to the images of some batches.

    Args:
        places: Of each batch.
        image_shape: (height, width, channels), at least 1 each.
        strength: How far the images are changed.

    Returns:
        int32, shape (images of all batches, `num_changes`); `Changes` names the columns.
    """
    height, width, channels = image_shape
    draws = np.concatenate([place.uniform(15, stream=STREAM) for place in places], axis=1)
    numbers = np.empty((draws.shape[1], num_changes(height, width)), np.int32)
    changes = Changes.of(numbers, height, width)
    num_bytes = height * width * channels
    origins = [place.noise_origins(num_bytes, stream=STREAM) for place in places]
    np.concatenate(origins, out=changes.noise)
    _draw_moves(draws[:5], height, width, strength, changes)
    _draw_boxes(draws[5:11], height, width, strength, changes)
    _draw_tones(draws[11:], strength, changes)
    return numbers


def _draw_moves(
    draws: Floats, height: int, width: int, strength: Strength, changes: Changes
) -> None:
    """Draws how each image is shifted, scaled and sheared about its centre.

    Args:
        draws: float64 in [-1, 1), shape (5, batch).
        height: Of the images.
        width: Of the images.
        strength: How far.
        changes: Gets `columns`, `rows` and `slant`.
    """
    shift_x, shift_y, scale_x, scale_y, shear = draws
    unit, cut = 2 ** fraction_bits(height, width), strength.cut * height
    columns = _line(width, strength.shift_x * width * shift_x, strength.scale * scale_x, cut, unit)
    columns += 0.5 * unit
    rows = _line(height, strength.shift_y * height * shift_y, strength.scale * scale_y, cut)
    slant = (strength.shear * shear * unit)[:, None] * (np.arange(height) - (height - 1) / 2)
    changes.columns[:] = np.rint(columns, out=columns)
    changes.rows[:] = np.clip(np.rint(rows, out=rows), 0, height - 1, out=rows)
    changes.slant[:] = np.rint(slant, out=slant)


def _line(size: int, shift: Floats, scale: Floats, cut: float, unit: int = 1) -> Floats:
    """Returns where the pixels along one side of each image come from.

    Args:
        size: Pixels along the side.
        shift: float64, shape (batch,), in pixels.
        scale: float64, shape (batch,), what the side is stretched by, as a share of it.
        cut: Pixels that may be lost at an end. Where more would be, that end stays nearer, and
            the image is squeezed: a character at the edge is never pushed out.
        unit: A power of two, so that multiplying with it rounds nothing.

    Returns:
        float64, shape (batch, size), in pixels times `unit`; at an end, outside [0, size * unit).
    """
    growth = scale * ((size - 1) / 2)
    start = np.minimum(shift - growth, cut)
    stop = np.maximum(shift + growth + (size - 1), size - 1 - cut)
    line = ((stop - start) * unit)[:, None] * (np.arange(size) / max(size - 1, 1))
    line += (start * unit)[:, None]
    return line


def _draw_boxes(
    draws: Floats, height: int, width: int, strength: Strength, changes: Changes
) -> None:
    """Draws the small rectangles that a share of the images loses.

    Their sides follow from the height, as the size of characters does, so that none is hidden.

    Args:
        draws: float64 in [-1, 1), shape (6, batch).
        height: Of the images.
        width: Of the images.
        strength: How far.
        changes: Gets `box` and `grey`.
    """
    chosen = draws[0] < 2 * strength.erase_share - 1
    longest = np.array(
        [[strength.erase_side * height], [min(strength.erase_side * height, width)]]
    ).astype(int)
    shares = (draws[1:] + 1) / 2  # in [0, 1)
    sides = np.ceil(shares[:2] * longest).astype(int)
    starts = (shares[2:4] * (np.array([[height], [width]]) - sides + 1)).astype(int)
    changes.box[:, ::2] = starts.T
    changes.box[:, 1::2] = (starts + sides * chosen).T
    changes.grey[:, 0] = shares[4] * 256


def _draw_tones(draws: Floats, strength: Strength, changes: Changes) -> None:
    """Draws blur, contrast, brightness and noise of each image.

    Args:
        draws: float64 in [-1, 1), shape (4, batch).
        strength: How far.
        changes: Gets `blur`, `gain`, `level` and `amplitude`.
    """
    blur, contrast, brightness, roughness = draws
    weights = strength.blur * (1 + (blur - 1) / (2 * strength.blur_share))  # above 0 in that share
    changes.blur[:, 0] = np.maximum(np.rint(weights * 2 ** (GAIN_BITS - 2)), 0)
    changes.gain[:, 0] = np.rint((1 + strength.contrast * contrast) * 2**GAIN_BITS)
    changes.level[:, 0] = np.rint(128 + strength.brightness * brightness)
    changes.amplitude[:, 0] = np.rint(strength.noise * np.abs(roughness))
