"""How a source becomes a record's image: as the user asked, or as a dataset has it written down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from convert.config import DEFAULT_QUALITY, Alpha, Box, Encoding, Fit, Resample

_BYTES_PER_PIXEL = 16  # four channels of 32 bits: what the largest uncompressed file takes
_MARGIN_BYTES = 1 << 20  # and what it may hold beside its pixels


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageOptions:
    """How a source becomes a record's image.

    Attributes:
        crop: Box in source pixels. None: the whole image.
        size: (width, height) of the result.
        fit: How a crop of another shape comes to `size`.
        channels: 3 for RGB, 1 for grey (ITU-R 601 luma).
        alpha: What becomes of transparency.
        resample: Filter of the resizing.
        pad_crop: Fill with black where the box reaches past the image.
        exif: Turn the image as its EXIF orientation says, before the crop.
        fast_decode: Decode large JPEGs at a reduced scale and PNGs only down to the crop.
        lenient: Keep an image of which a decoder says that something is wrong.
        max_pixels: Width times height above which an image is refused undecoded.
        encoding: What the record holds.
        quality: Of JPEG, in [1, 100].
    """

    crop: Box | None
    size: tuple[int, int]
    fit: Fit = "stretch"
    channels: int = 3
    alpha: Alpha = "drop"
    resample: Resample = "bicubic"
    pad_crop: bool = False
    exif: bool = False
    fast_decode: bool = False
    lenient: bool = False
    max_pixels: int = 50_000_000
    encoding: Encoding = "raw"
    quality: int = DEFAULT_QUALITY

    @property
    def max_bytes(self) -> int:
        """Size of a file above which it is refused unread."""
        return _BYTES_PER_PIXEL * self.max_pixels + _MARGIN_BYTES


def recorded_options(image: Mapping[str, Any]) -> ImageOptions:
    """Returns the options by which a dataset's images were made.

    Args:
        image: What its `dataset.json` says under `image`.
    """
    # `fit` and `lenient` are younger than the first datasets, which lack them.
    names = {field.name for field in fields(ImageOptions)}
    recorded = {name: value for name, value in image.items() if name in names}
    recorded["crop"] = image["crop"] and tuple(image["crop"])
    recorded["quality"] = image["quality"] or DEFAULT_QUALITY
    return ImageOptions(**recorded, size=(image["width"], image["height"]))
