"""One source image to a record's image: decode, crop, resize, encode. Bytes in, bytes out.

With the defaults the pixels are those of `Image.open(p).crop(box).resize(size)`, then
`[..., :3]`. Prediction uses this same module, so that a model sees what it was trained on.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import Any, get_args

import numpy as np
from PIL import Image

from convert.config import Box, Resample
from convert.errors import ImageError
from convert.images.oddities import Oddity
from convert.images.open_image import decode_error, open_image
from convert.images.options import ImageOptions as ImageOptions
from convert.images.pixels.alpha import flatten
from convert.images.pixels.fit import fit_to, inner_size
from convert.images.pixels.looks import look_of, shape_of
from convert.images.png.content import with_all_rows
from convert.images.png.decoder import PNG_SIGNATURE, png_size
from convert.images.region import Region, decode_region, plain_region

_FILTERS = {name: Image.Resampling[name.upper()] for name in get_args(Resample)}
_RESIZED_PIXELS = 50_000_000  # that resizing may go through, however few a source may have

Bytes = np.ndarray[Any, np.dtype[np.uint8]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Rendered:
    """A record's image.

    Attributes:
        content: uint8 pixels, height x width x channels, row-major; or a PNG or JPEG file of them.
        oddities: What is odd about the source.
        source_format: `PNG`, `JPEG` and so on.
        source_size: (width, height) of the source as stored.
    """

    content: bytes
    oddities: tuple[Oddity, ...]
    source_format: str
    source_size: tuple[int, int]


def render(data: bytes, options: ImageOptions, box: Box | None = None) -> Rendered:
    """Turns an image file's content into a record's image.

    Args:
        data: The whole file. Its content tells the format, not its name.
        options: How.
        box: This image's own crop box instead of the options'.

    Raises:
        ImageError: The image cannot be converted; `reason` tells why.
        MemoryError: It does not fit in memory.
    """
    region, source_format, source_size, oddities = _decode(data, box or options.crop, options)
    image, dropped_alpha = flatten(region.image, options.alpha, region.content)
    _require_resizable(region, options)
    filter_ = _FILTERS[options.resample]
    image = fit_to(image, region.part, region.shape, options.size, options.fit, filter_)
    pixels = _pixels(image, options.channels)
    if dropped_alpha:
        oddities.append("dropped_alpha")
    oddities += _about(region, pixels, options)
    return Rendered(
        content=pixels if options.encoding == "raw" else _encode(pixels, options),
        oddities=tuple(dict.fromkeys(oddities)) if oddities else (),
        source_format=source_format,
        source_size=source_size,
    )


def _require_resizable(region: Region, options: ImageOptions) -> None:
    """Refuses a column so high that what it is resized through would be a vast image.

    Pillow brings the width to that of the result first, with all rows.
    """
    _, top, _, bottom = region.part
    size = options.size
    columns, _ = inner_size(region.shape, size) if options.fit == "pad" else size
    if columns * (bottom - top) > max(options.max_pixels, _RESIZED_PIXELS):
        width, height = region.shape
        raise ImageError(
            "too_large", f"{width}x{height} is too narrow to be resized to {columns} columns"
        )


def _decode(
    data: bytes, box: Box | None, options: ImageOptions
) -> tuple[Region, str, tuple[int, int], list[Oddity]]:
    """Returns the region of a source inside a box, and the source's format, size and oddities."""
    plain = None if options.fast_decode else plain_region(data, box, options.max_pixels)
    if plain is not None:
        return plain, "PNG", png_size(data) or (0, 0), []
    source, data, oddities = _open(data, options)
    source_format, source_size = source.format or "image", source.size
    try:
        region = decode_region(source, data, box, options)
    except (ImageError, MemoryError):
        raise
    except Exception as error:  # whatever the decoder stumbles over
        raise decode_error(source, error) from error
    return region, source_format, source_size, oddities


def _open(data: bytes, options: ImageOptions) -> tuple[Image.Image, bytes, list[Oddity]]:
    """Opens a source; with `lenient` also a PNG that was cut off, with the rest of it black."""
    try:
        return open_image(data, options.max_pixels), data, []
    except ImageError as error:
        if error.reason != "truncated" or not options.lenient:
            raise
        whole = with_all_rows(data, options.max_pixels) if data.startswith(PNG_SIGNATURE) else None
        if whole is None:
            raise
    return open_image(whole, options.max_pixels), whole, ["damaged_kept"]


def _about(region: Region, pixels: bytes, options: ImageOptions) -> list[Oddity]:
    """Returns the oddities of a source's region and of the record's image made of it."""
    oddities = list(region.oddities)
    if region.orientation > 1:
        oddities.append("oriented")
    look = look_of(pixels, options.channels)
    if look is not None:
        oddities.append(look)
    shape = shape_of(region.shape, options.size)
    # Padding distorts nothing, but hides that width and height of the size were swapped.
    oddities += shape if options.fit == "stretch" else shape[1:]
    return oddities


def to_array(rendered: Rendered, options: ImageOptions) -> Bytes:
    """Returns a rendered image as uint8, shape (height, width, channels).

    Args:
        rendered: An image of raw pixels.
        options: Those it was rendered with.
    """
    width, height = options.size
    return np.frombuffer(rendered.content, np.uint8).reshape(height, width, options.channels)


def _pixels(image: Image.Image, channels: int) -> bytes:
    """Returns an image's pixels in the mode of records."""
    mode = "RGB" if channels == 3 else "L"
    if image.mode == "RGBA" and mode == "L":
        image = image.convert("RGB")  # the luma of premultiplied colours would be another
    if image.mode != mode:
        image = image.convert(mode)
    return image.tobytes()


def _encode(pixels: bytes, options: ImageOptions) -> bytes:
    """Returns pixels as a PNG or JPEG file."""
    buffer = BytesIO()
    # A new image has no EXIF, ICC profile or text of its source to be written.
    clean = Image.frombytes("RGB" if options.channels == 3 else "L", options.size, pixels)
    if options.encoding == "png":
        clean.save(buffer, "PNG")
    else:
        # Chroma of half the resolution would blur small coloured print.
        clean.save(buffer, "JPEG", quality=options.quality, subsampling=0)
    return buffer.getvalue()
