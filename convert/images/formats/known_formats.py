"""The formats that are converted; each file is of one of them, by its first bytes."""

from __future__ import annotations

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
    raise unknown_format(data)


def unknown_format(data: bytes) -> ImageError:
    """Returns the error for a file that no decoder recognises."""
    foreign = foreign_format(data)
    what = f"{foreign}, " if foreign else ""
    return ImageError(
        "unknown_format", f"{what}starts with {data[:8]!r}, expected one of {', '.join(FORMATS)}"
    )
