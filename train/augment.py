"""Random small changes to a batch of training images, as a function of its place in the run.

What happens to a batch follows from (seed, epoch, step) alone, so a resumed run sees the very
images that the interrupted one would have seen. Text is never mirrored or turned.
"""

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]

# The row order draws from Philox keys (seed, epoch << 32 | window) at counter 0; the highest word
# of the counter keeps these draws apart from those where a step and a window have one number.
STREAM = 1

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


def augment(images: Bytes, *, seed: int, epoch: int, step: int) -> Bytes:
    """Returns a batch with each image moved, stretched, lightened and roughened a little.

    Args:
        images: uint8, shape (batch, height, width, channels). Left as it is.
        seed: Of the run, in [0, 2 ** 64).
        epoch: In [0, 2 ** 32).
        step: Of the epoch, in [0, 2 ** 32).

    Returns:
        uint8, a new array of the shape of `images`. Equal arguments give equal bytes.

    Raises:
        ValueError: `images` is not a uint8 batch, or a number is out of its range.
    """
    if images.dtype != np.uint8 or images.ndim != 4:
        raise ValueError(
            "`images` must be uint8 with shape (batch, height, width, channels), "
            f"got {images.dtype} with shape {images.shape}."
        )
    bits = _bits(seed, epoch, step)
    moved = _move(images, _uniform(bits, (5, len(images))))
    return _tone(moved, _uniform(bits, (3, len(images))), bits)


def _bits(seed: int, epoch: int, step: int) -> np.random.Philox:
    """Returns the source of random bits of one step.

    Raises:
        ValueError: A number is out of its range.
    """
    for name, value, bound in (("seed", seed, 64), ("epoch", epoch, 32), ("step", step, 32)):
        if not 0 <= value < 2**bound:
            raise ValueError(f"`{name}` must be in [0, 2 ** {bound}), got {value}.")
    key = np.array([seed, epoch << 32 | step], dtype=np.uint64)
    counter = np.array([0, 0, 0, STREAM], dtype=np.uint64)
    return np.random.Philox(key=key, counter=counter)


def _uniform(bits: np.random.Philox, shape: tuple[int, ...]) -> Floats:
    """Returns float64 in [-1, 1), from raw bits, which no NumPy version will change."""
    raw = bits.random_raw(int(np.prod(shape))).reshape(shape)
    whole = (raw >> np.uint64(11)).astype(np.float64)  # the 53 bits that a float64 holds
    return whole * 2.0**-52 - 1.0


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


def _fixed(values: Floats) -> npt.NDArray[np.int32]:
    """Returns coordinates as int32 with FRACTION_BITS binary places."""
    return np.rint(values * 2**FRACTION_BITS).astype(np.int32)


def _tone(images: Bytes, draws: Floats, bits: np.random.Philox) -> Bytes:
    """Changes contrast and brightness of each image and adds noise to each value.

    Args:
        images: uint8, shape (batch, height, width, channels).
        draws: float64 in [-1, 1), shape (3, batch).
        bits: Where the noise comes from.

    Returns:
        uint8, a new array of the shape of `images`.
    """
    contrast, brightness, noise = draws[:, :, None, None, None]
    gain = np.rint((1 + CONTRAST * contrast) * 2**GAIN_BITS).astype(np.int16)
    amplitude = np.rint(NOISE * np.abs(noise)).astype(np.int16)
    level = np.rint(128 + BRIGHTNESS * brightness).astype(np.int16)
    raw = bits.random_raw((images.size + 7) // 8).view(np.int8)[: images.size]
    rough = raw.reshape(images.shape) * amplitude
    rough >>= 7  # int8 draws are in [-128, 128)
    values = images.astype(np.int16)
    values -= 128
    values *= gain
    values >>= GAIN_BITS
    values += level
    values += rough
    return np.clip(values, 0, 255, out=values).astype(np.uint8)
