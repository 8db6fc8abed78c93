"""How a source becomes a record's image, as `dataset.json` has it written down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from convert.config import DEFAULT_QUALITY, Alpha, Box, ConvertConfig, Encoding, Fit, Resample

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
        row_boxes: Each row has a crop box of its own, which goes before `crop`.
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
    row_boxes: bool = False

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of the result."""
        width, height = self.size
        return height, width, self.channels

    @property
    def max_bytes(self) -> int:
        """Size of a file above which it is refused unread."""
        return _BYTES_PER_PIXEL * self.max_pixels + _MARGIN_BYTES

    @classmethod
    def of(cls, config: ConvertConfig, *, row_boxes: bool) -> ImageOptions:
        """Returns the options that a conversion was given."""
        names = {field.name for field in fields(cls)} - {"size", "quality", "row_boxes"}
        return cls(
            **{name: getattr(config, name) for name in names},
            size=config.image_size,
            quality=config.jpeg_quality,
            row_boxes=row_boxes,
        )

    def to_json(self) -> dict[str, Any]:
        """Returns what `dataset.json` says under `image`."""
        width, height = self.size
        image: dict[str, Any] = {
            "height": height,
            "width": width,
            "channels": self.channels,
            "encoding": self.encoding,
            "quality": self.quality if self.encoding == "jpeg" else None,
            "crop": list(self.crop) if self.crop else None,
            "resample": self.resample,
            "alpha": self.alpha,
            "pad_crop": self.pad_crop,
            "exif": self.exif,
            "fast_decode": self.fast_decode,
            "row_boxes": self.row_boxes,
            "max_pixels": self.max_pixels,
        }
        # Younger than the first datasets, and written only where used, so that those keep their id.
        if self.fit != "stretch":
            image["fit"] = self.fit
        if self.lenient:
            image["lenient"] = True
        return image

    @classmethod
    def from_json(cls, image: Mapping[str, Any]) -> ImageOptions:
        """Returns the options that `to_json` made these values of; they are not checked here."""
        known = {field.name for field in fields(cls)} - {"size", "crop", "quality"}
        box = image["crop"]
        return cls(
            **{key: value for key, value in image.items() if key in known},
            size=(image["width"], image["height"]),
            crop=None if box is None else tuple(box),
            quality=image["quality"] or DEFAULT_QUALITY,
        )
