"""One source image to a record's image: decode, crop, resize, encode. Bytes in, bytes out.

With the defaults the pixels are those of `Image.open(p).crop(box).resize(size)`, then
`[..., :3]`. Prediction uses this same module, so that a model sees what it was trained on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any, NamedTuple, get_args

import numpy as np
from PIL import Image, JpegImagePlugin

from convert.config import DEFAULT_QUALITY, Alpha, Box, Encoding, Resample
from convert.decode import decode_error, load, open_image, orientation, to_rgb
from convert.errors import ImageError
from convert.oddities import Oddity
from convert.png import plain_png, png_rows

_FILTERS = {name: Image.Resampling[name.upper()] for name in get_args(Resample)}
# EXIF 2.3, section 4.6.4: where row 0 and column 0 of the stored pixels are to be seen.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

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
        exif: Turn the image as its EXIF orientation says, before the crop.
        fast_decode: Decode large JPEGs at a reduced scale and PNGs only down to the crop.
        max_pixels: Width times height above which an image is refused undecoded.
        encoding: What the record holds.
        quality: Of JPEG, in [1, 100].
    """

    crop: Box | None
    size: tuple[int, int]
    channels: int = 3
    alpha: Alpha = "drop"
    resample: Resample = "bicubic"
    pad_crop: bool = False
    exif: bool = False
    fast_decode: bool = False
    max_pixels: int = 50_000_000
    encoding: Encoding = "raw"
    quality: int = DEFAULT_QUALITY


def recorded_options(image: Mapping[str, Any]) -> ImageOptions:
    """Returns the options by which a dataset's images were made.

    Args:
        image: What its `dataset.json` says under `image`.
    """
    crop: Box | None = None
    if image["crop"] is not None:
        left, top, right, bottom = image["crop"]
        crop = (left, top, right, bottom)
    return ImageOptions(
        crop=crop,
        size=(image["width"], image["height"]),
        channels=image["channels"],
        alpha=image["alpha"],
        resample=image["resample"],
        pad_crop=image["pad_crop"],
        exif=image["exif"],
        fast_decode=image["fast_decode"],
        max_pixels=image["max_pixels"],
        encoding=image["encoding"],
        quality=image["quality"] or DEFAULT_QUALITY,
    )


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
    source = open_image(data, options.max_pixels)
    try:
        region = _decode(source, data, box or options.crop, options)
    except (ImageError, MemoryError):
        raise
    except Exception as error:  # whatever the decoder stumbles over
        raise decode_error(source, error) from error
    image, dropped_alpha = _flatten(region.image, options.alpha, region.content)
    image = image.resize(options.size, _FILTERS[options.resample], region.box)
    oddities: list[Oddity] = []
    if dropped_alpha:
        oddities.append("dropped_alpha")
    if region.orientation > 1:
        oddities.append("oriented")
    return Rendered(
        content=_encode(image, options),
        oddities=tuple(oddities),
        source_format=source.format or "image",
        source_size=region.source_size,
    )


def to_array(rendered: Rendered, options: ImageOptions) -> Bytes:
    """Returns a rendered image as uint8, shape (height, width, channels).

    Args:
        rendered: An image of raw pixels.
        options: Those it was rendered with.
    """
    width, height = options.size
    return np.frombuffer(rendered.content, np.uint8).reshape(height, width, options.channels)


class _Region(NamedTuple):
    """The part of a source that a record's image is made of.

    Attributes:
        image: RGB or RGBA pixels.
        box: What of them is resized; half-open, in fractions of pixels.
        content: Where they are pixels of the source; the rest is padding.
        orientation: The source's EXIF orientation.
        source_size: (width, height) of the source as stored.
    """

    image: Image.Image
    box: tuple[float, float, float, float]
    content: Box
    orientation: int
    source_size: tuple[int, int]


def _whole(image: Image.Image) -> Box:
    return 0, 0, image.width, image.height


def _decode(source: Image.Image, data: bytes, box: Box | None, options: ImageOptions) -> _Region:
    """Decodes what is inside a box; None is all of the image."""
    size = source.size
    stored = box or _whole(source)
    is_inside = _is_inside(stored, size)
    if options.fast_decode and is_inside:
        # Only an upright image has the box where the decoder can see it.
        upright = orientation(source) == 1 and b"eXIf" not in data
        if upright or not options.exif:
            source, data, scale = _lighten(source, data, stored, options)
            if scale > 1:
                load(source)
                left, top, right, bottom = (edge / scale for edge in stored)
                image = to_rgb(source)
                part = (left, top, right, bottom)
                return _Region(image, part, _whole(image), orientation(source), size)
    plain = plain_png(data, stored) if is_inside else None
    if plain is not None:
        image = to_rgb(plain)
        return _Region(image, _whole(image), _whole(image), 1, size)
    load(source)
    turned = orientation(source)
    if options.exif and turned > 1:
        source = source.transpose(_UPRIGHT[turned])
    image, content = _crop(source, box or _whole(source), options)
    return _Region(image, _whole(image), content, turned, size)


def _lighten(
    source: Image.Image, data: bytes, box: Box, options: ImageOptions
) -> tuple[Image.Image, bytes, float]:
    """Makes an image decode less than all of itself; tells by how much its edges shrink."""
    if not isinstance(source, JpegImagePlugin.JpegImageFile):
        rows = png_rows(data, box[3])
        lighter = source if rows is data else open_image(rows, options.max_pixels)
        return lighter, rows, 1.0
    left, top, right, bottom = box
    width, height = source.size
    # As small as it may become for the crop to stay at least as large as the result.
    smallest = (
        -(-width * options.size[0] // (right - left)),
        -(-height * options.size[1] // (bottom - top)),
    )
    drafted = source.draft("L" if options.channels == 1 else None, smallest)
    return source, data, width / drafted[1][2] if drafted else 1.0


def _is_inside(box: Box, size: tuple[int, int]) -> bool:
    left, top, right, bottom = box
    return left >= 0 and top >= 0 and right <= size[0] and bottom <= size[1]


def _crop(image: Image.Image, box: Box, options: ImageOptions) -> tuple[Image.Image, Box]:
    """Returns the part inside a box as RGB or RGBA, and where in it pixels of the image are."""
    if box == _whole(image):
        return to_rgb(image), box
    left, top, right, bottom = box
    content = (
        max(left, 0) - left,
        max(top, 0) - top,
        min(right, image.width) - left,
        min(bottom, image.height) - top,
    )
    if _is_inside(box, image.size):
        return to_rgb(image.crop(box)), content
    if not options.pad_crop:
        raise ImageError(
            "box_outside",
            f"the box {left} {top} {right} {bottom} reaches past the image, "
            f"{image.width}x{image.height}",
        )
    image = to_rgb(image)  # before the crop: a palette's entry 0 need not be black
    if options.alpha != "drop":
        image, _ = _flatten(image, options.alpha, _whole(image))  # nor is the padding see-through
    return image.crop(box), content


def _flatten(image: Image.Image, alpha: Alpha, content: Box) -> tuple[Image.Image, bool]:
    """Deals with transparency; tells whether some was there, in a box, and was dropped."""
    seen = image
    if image.mode == "RGB" and "transparency" in image.info:
        seen = image.convert("RGBA")
    if seen.mode != "RGBA":
        return image, False
    if alpha == "drop":
        channel = seen.getchannel("A")
        if _lowest(channel) == 255:
            return image.convert("RGB"), False  # the same pixels, and resizes faster
        # Resized as it is and dropped afterwards, as in the usual `resize(...)[..., :3]`.
        left, top, right, bottom = content
        seen_there = left < right and top < bottom  # else all of it is padding
        return image, seen_there and _lowest(channel.crop(content)) < 255
    paper = Image.new("RGBA", image.size, alpha)
    return Image.alpha_composite(paper, seen).convert("RGB"), False


def _lowest(channel: Image.Image) -> float:
    lowest, _ = channel.getextrema()
    assert not isinstance(lowest, tuple)  # it is one channel
    return lowest


def _encode(image: Image.Image, options: ImageOptions) -> bytes:
    """Returns the content of a record's image."""
    mode = "RGB" if options.channels == 3 else "L"
    if image.mode == "RGBA" and mode == "L":
        image = image.convert("RGB")  # the luma of premultiplied colours would be another
    if image.mode != mode:
        image = image.convert(mode)
    if options.encoding == "raw":
        return image.tobytes()
    buffer = BytesIO()
    # A new image has no EXIF, ICC profile or text of its source to be written.
    clean = Image.frombytes(mode, image.size, image.tobytes())
    if options.encoding == "png":
        clean.save(buffer, "PNG")
    else:
        # Chroma of half the resolution would blur small coloured print.
        clean.save(buffer, "JPEG", quality=options.quality, subsampling=0)
    return buffer.getvalue()
