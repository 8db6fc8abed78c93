"""Renders damaged images, and looks at what comes of it."""

import re
from collections.abc import Callable
from typing import get_args

import numpy as np
from fuzz_damage import Random, damage
from fuzz_seeds import SIGNATURE, image_seeds

from convert.config import Alpha, Encoding, Resample
from convert.errors import REASONS, ImageError
from convert.images import ImageOptions, Rendered, render
from convert.images.formats.png import fast_decoder as png
from convert.images.oddities import ODDITIES

# About one damaged file in 400 still makes these codecs of libtiff give up without a word, and
# then Pillow leaves what was in memory.
UNSTEADY = ("TIFF adobe_deflate", "TIFF group4")

WRONG_CHECKSUM = "damaged: the PNG's pixels cannot be decoded"

# Of an object or of a place on this machine, neither of which belongs into a dataset.
_ADDRESS = re.compile(r"\b0x[0-9a-f]{4}|<[a-z_.]+[ >]|(^|[\s'\"(])/[a-z]", re.IGNORECASE)


def options(random: Random) -> ImageOptions:
    """Returns options of which every one varies."""
    crop = None
    if random.random() < 0.6:
        left, top, width, height = random.integers([-3, -3, 1, 1], [20, 20, 30, 30]).tolist()
        crop = (left, top, left + width, top + height)
    pad_crop, exif, fast_decode, pads, lenient = random.integers(0, 2, 5).astype(bool).tolist()
    width, height, quality = random.integers(1, [24, 24, 101]).tolist()
    return ImageOptions(
        crop=crop,
        size=(width, height),
        fit="pad" if pads else "stretch",
        channels=int(random.choice([1, 3])),
        alpha=random.choice(get_args(Alpha)).item(),
        resample=random.choice(get_args(Resample)).item(),
        pad_crop=pad_crop,
        exif=exif,
        fast_decode=fast_decode,
        lenient=lenient,
        max_pixels=int(random.choice([1000, 1_000_000, 10_000_000], p=[0.1, 0.8, 0.1])),
        encoding=random.choice(get_args(Encoding), p=[0.8, 0.1, 0.1]).item(),
        quality=quality,
    )


def outcome(data: bytes, how: ImageOptions, *, steady: bool = True) -> str:
    """Renders a file; returns `converted` or the reason.

    Args:
        data: The file.
        how: Options.
        steady: Whether the pixels must not depend on what was in memory before.

    Raises:
        AssertionError: What came of it is neither an image nor a clean refusal.
    """
    rendered = rendered_or_reason(data, how)
    if steady:
        fill_memory()
        assert rendered_or_reason(data, how) == rendered
    if data.startswith(SIGNATURE):
        # The faster decoder does not look at the checksum inside the rows; else they agree.
        assert by_pillow_alone(data, how) in (rendered, WRONG_CHECKSUM)
    if isinstance(rendered, str):
        return rendered.partition(":")[0]
    _check(rendered, how)
    return "converted"


def rendered_or_reason(data: bytes, how: ImageOptions) -> Rendered | str:
    """Returns an image, or the reason and the detail with which it is refused."""
    try:
        return render(data, how)
    except ImageError as error:
        assert error.reason in REASONS, error.reason
        assert error.detail and error.detail.isprintable(), error.detail
        assert not _ADDRESS.search(error.detail), error.detail
        return str(error)


def by_pillow_alone(data: bytes, how: ImageOptions) -> Rendered | str:
    """Does it where the faster decoder is missing."""
    faster, png.pyspng = png.pyspng, None
    try:
        return rendered_or_reason(data, how)
    finally:
        png.pyspng = faster


def _check(rendered: Rendered, how: ImageOptions) -> None:
    width, height = how.size
    if how.encoding == "raw":
        assert len(rendered.content) == width * height * how.channels
    else:
        start = {"png": SIGNATURE, "jpeg": b"\xff\xd8"}[how.encoding]
        assert rendered.content.startswith(start)
    assert set(rendered.oddities) <= set(ODDITIES)


def fill_memory() -> None:
    """Leaves other bytes in the memory that a decoder may be given next."""
    kept = [bytes([0xAA]) * size for size in (300, 2_000, 5_000, 12_000, 40_000) * 4]
    kept.clear()


def image_case(seed: int) -> Callable[[int], str]:
    """Returns a function that makes, renders and judges the damaged image of a number."""
    whole = image_seeds()
    kinds, contents = list(whole), list(whole.values())

    def run(number: int) -> str:
        random = np.random.default_rng([seed, number])
        kind = kinds[number % len(kinds)]
        data = damage(whole[kind], contents, random)
        return outcome(data, options(random), steady=kind not in UNSTEADY)

    return run
