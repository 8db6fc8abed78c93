"""A source file opened: its format found by its content, its header read, nothing decoded yet."""

from __future__ import annotations

from PIL import Image, UnidentifiedImageError

from convert.errors import ImageError
from convert.images.formats.bmp import BmpFormat
from convert.images.formats.foreign_formats import foreign_format
from convert.images.formats.gif import GifFormat
from convert.images.formats.image_format import ImageFormat
from convert.images.formats.jpeg.jpeg_format import JpegFormat
from convert.images.formats.png.png_format import PngFormat
from convert.images.formats.tiff.tiff_format import TiffFormat
from convert.images.formats.webp import WebpFormat

# Only these decoders are ever tried: some others start programs or read other files. Naming their
# modules also registers them, so that Pillow does not import all of its plugins at the first image.
_FORMATS = (PngFormat(), JpegFormat(), BmpFormat(), GifFormat(), TiffFormat(), WebpFormat())

FORMATS = tuple(kind.name for kind in _FORMATS)
"""Their names, as Pillow has them."""


def format_of(data: bytes) -> ImageFormat:
    """Returns the format of a file.

    Raises:
        ImageError: It is empty, or of another format.
    """
    if not data:
        raise ImageError("empty_file", "the file has 0 bytes")
    for kind in _FORMATS:
        if kind.sniff(data):
            return kind
    raise _unknown_format(data)


def _unknown_format(data: bytes) -> ImageError:
    """Returns the error for a file that no decoder recognises."""
    foreign = foreign_format(data)
    what = f"{foreign}, " if foreign else ""
    return ImageError(
        "unknown_format", f"{what}starts with {data[:8]!r}, expected one of {', '.join(FORMATS)}"
    )


def open_image(data: bytes, max_pixels: int) -> Image.Image:
    """Identifies an image by its content; decodes nothing yet.

    Args:
        data: The whole file.
        max_pixels: Width times height above which it is refused.

    Raises:
        ImageError: It is empty, of no allowed format, damaged, too large, or in a format that
            this installation cannot decode.
    """
    kind = format_of(data)
    kind.check(data)
    try:
        image = kind.read_header(data)
    except MemoryError:
        raise
    except Exception as error:  # damaged headers surface as whatever the parser stumbles over
        unknown = _unknown_format(data) if isinstance(error, UnidentifiedImageError) else None
        damaged = ImageError("damaged", "its header cannot be read")
        raise kind.header_error(data) or unknown or damaged from error
    if image.width * image.height > max_pixels:
        raise ImageError(
            "too_large", f"{image.width}x{image.height} is more than {max_pixels} pixels"
        )
    kind.check_work(image, data, max_pixels)
    return image


def decode_error(image: Image.Image, error: Exception) -> ImageError:
    """Returns the error for a decoder's failure; Pillow's own text may hold object addresses."""
    kind = image.format or "image"
    if "truncated" in str(error):
        return ImageError("truncated", f"the {kind} ends before its last row")
    return ImageError("damaged", f"the {kind}'s pixels cannot be decoded")
