"""One source image to pixels: decode, crop, resize. Bytes in, bytes out; no files.

With the defaults the pixels are those of `Image.open(p).crop(box).resize(size)`, then
`[..., :3]`. Prediction uses this same module, so that a model sees what it was trained on.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from io import BytesIO
from typing import Any, get_args

import numpy as np
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from convert.config import Alpha, Box, Resample
from convert.errors import ImageError

# Only these decoders are ever tried: some others start programs or read other files. Naming the
# modules also registers them, so that Pillow does not import all of its plugins at the first image.
FORMATS = tuple(
    plugin.format
    for plugin in (
        PngImagePlugin.PngImageFile,
        JpegImagePlugin.JpegImageFile,
        BmpImagePlugin.BmpImageFile,
        GifImagePlugin.GifImageFile,
        TiffImagePlugin.TiffImageFile,
        WebPImagePlugin.WebPImageFile,
    )
)

# Pillow's own limit warns at a fixed number of pixels. `max_pixels` is checked instead, and also
# before any pixel is decoded.
Image.MAX_IMAGE_PIXELS = None

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_CHUNK = struct.Struct(">I4s").unpack_from  # length, type
_PNG_CRC = struct.Struct(">I").unpack_from
_FILTERS = {name: Image.Resampling[name.upper()] for name in get_args(Resample)}
_SIXTEEN_BIT_GREY = ("I;16", "I;16L", "I;16B", "I;16N")
# LAB is missing: Pillow converts it only where it was built with LittleCMS.
_RGB_OF = {"1": "RGB", "L": "RGB", "P": "RGB", "CMYK": "RGB", "YCbCr": "RGB"}
_RGBA_OF = {"LA": "RGBA", "PA": "RGBA", "RGBa": "RGBA"}

Bytes = np.ndarray[Any, np.dtype[np.uint8]]


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageOptions:
    """How a source becomes a record's image.

    Attributes:
        crop: Box in source pixels. None: the whole image.
        size: (width, height) of the result.
        channels: 3 for RGB, 1 for grey (ITU-R 601 luma).
        alpha: What becomes of transparency.
        resample: Filter of the resizing.
        pad_crop: Fill with black where the box reaches past the image.
        max_pixels: Width times height above which an image is refused undecoded.
    """

    crop: Box | None
    size: tuple[int, int]
    channels: int = 3
    alpha: Alpha = "drop"
    resample: Resample = "bicubic"
    pad_crop: bool = False
    max_pixels: int = 50_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Rendered:
    """A record's image.

    Attributes:
        pixels: uint8, height x width x channels, row-major.
        dropped_alpha: Whether transparency that was there inside the box was dropped.
    """

    pixels: bytes
    dropped_alpha: bool


def render(data: bytes, options: ImageOptions, box: Box | None = None) -> Rendered:
    """Turns an image file's content into a record's pixels.

    Args:
        data: The whole file. Its content tells the format, not its name.
        options: How.
        box: This image's own crop box instead of the options'.

    Raises:
        ImageError: The image cannot be converted; `reason` tells why.
    """
    source = _open(data, options.max_pixels)
    try:
        image = _to_rgb(_crop(source, box or options.crop, options))
    except (ImageError, MemoryError):
        raise
    except Exception as error:  # whatever the decoder stumbles over
        raise _decode_error(source, error) from error
    image, dropped_alpha = _flatten(image, options.alpha)
    image = image.resize(options.size, _FILTERS[options.resample])
    mode = "RGB" if options.channels == 3 else "L"
    if image.mode == "RGBA" and mode == "L":
        image = image.convert("RGB")  # the luma of premultiplied colours would be another
    if image.mode != mode:
        image = image.convert(mode)
    return Rendered(pixels=image.tobytes(), dropped_alpha=dropped_alpha)


def to_array(rendered: Rendered, options: ImageOptions) -> Bytes:
    """Returns a rendered image as uint8, shape (height, width, channels)."""
    width, height = options.size
    return np.frombuffer(rendered.pixels, np.uint8).reshape(height, width, options.channels)


def _open(data: bytes, max_pixels: int) -> Image.Image:
    """Identifies an image; decodes nothing yet."""
    if not data:
        raise ImageError("empty_file", "the file has 0 bytes")
    if data.startswith(_PNG_SIGNATURE):
        _check_png(data)
    try:
        image = _identify(data)
    except UnidentifiedImageError as error:
        raise ImageError(
            "unknown_format", f"starts with {data[:8]!r}, expected one of {', '.join(FORMATS)}"
        ) from error
    except Exception as error:
        # Damaged headers surface as whatever the plugin's parser stumbles over.
        raise ImageError("damaged", "its header cannot be read") from error
    if image.width * image.height > max_pixels:
        raise ImageError(
            "too_large", f"{image.width}x{image.height} is more than {max_pixels} pixels"
        )
    return image


def _identify(data: bytes) -> Image.Image:
    """Returns the image with its header read."""
    if data.startswith(_PNG_SIGNATURE):
        return PngImagePlugin.PngImageFile(BytesIO(data))  # `open` would look at all formats first
    return Image.open(BytesIO(data), formats=FORMATS)


def _check_png(data: bytes) -> None:
    """Compares the CRC of every chunk up to IEND; Pillow skips those of the pixels.

    Source: PNG specification, third edition, section 5.3.
    """
    view = memoryview(data)
    start = len(_PNG_SIGNATURE)
    while start + 8 <= len(data):
        length, kind = _PNG_CHUNK(data, start)
        end = start + 8 + length
        if end + 4 > len(data):
            raise ImageError("truncated", f"the PNG ends after {len(data)} bytes, inside a chunk")
        if zlib.crc32(view[start + 4 : end]) != _PNG_CRC(data, end)[0]:
            name = kind.decode("ascii", "replace")
            raise ImageError("damaged", f"the CRC of PNG chunk {name!r} is wrong")
        if kind == b"IEND":
            return
        start = end + 4
    raise ImageError("truncated", f"the PNG ends after {len(data)} bytes, before its IEND")


def _crop(image: Image.Image, box: Box | None, options: ImageOptions) -> Image.Image:
    """Returns the decoded part of an image inside a box."""
    if box is None:
        image.load()
        return image
    left, top, right, bottom = box
    inside = left >= 0 and top >= 0 and right <= image.width and bottom <= image.height
    if not inside and not options.pad_crop:
        raise ImageError(
            "box_outside",
            f"the box {left} {top} {right} {bottom} reaches past the image, "
            f"{image.width}x{image.height}",
        )
    if not inside:
        image = _to_rgb(image)  # before the crop: a palette's entry 0 need not be black
        if options.alpha != "drop":
            image, _ = _flatten(image, options.alpha)  # nor is the padding see-through
    return image.crop(box)


def _to_rgb(image: Image.Image) -> Image.Image:
    """Returns an image as RGB, or as RGBA if it has transparency."""
    if image.mode in ("RGB", "RGBA"):
        return image
    if image.mode in _SIXTEEN_BIT_GREY:
        # The high byte, which is also what Pillow keeps of 16-bit RGB.
        grey = (np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8)
        return Image.fromarray(grey).convert("RGB")
    if image.mode == "P" and "transparency" in image.info:
        return image.convert("RGBA")
    mode = _RGB_OF.get(image.mode) or _RGBA_OF.get(image.mode)
    if mode is None:
        raise ImageError("unsupported_mode", f"pixels of Pillow mode {image.mode!r}")
    return image.convert(mode)


def _flatten(image: Image.Image, alpha: Alpha) -> tuple[Image.Image, bool]:
    """Deals with transparency; tells whether some was there and was dropped."""
    seen = image
    if image.mode == "RGB" and "transparency" in image.info:
        seen = image.convert("RGBA")
    if seen.mode != "RGBA":
        return image, False
    if alpha == "drop":
        lowest, _ = seen.getchannel("A").getextrema()
        if lowest == 255:
            return image.convert("RGB"), False  # the same pixels, and resizes faster
        # Resized as it is and dropped afterwards, as in the usual `resize(...)[..., :3]`.
        return image, True
    paper = Image.new("RGBA", image.size, alpha)
    return Image.alpha_composite(paper, seen).convert("RGB"), False


def _decode_error(image: Image.Image, error: Exception) -> ImageError:
    """Words a decoder's failure; Pillow's own text may hold object addresses."""
    kind = image.format or "image"
    if "truncated" in str(error):
        return ImageError("truncated", f"the {kind} ends before its last row")
    return ImageError("damaged", f"the {kind}'s pixels cannot be decoded")
