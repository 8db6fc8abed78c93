"""Decodes pixels with Pillow, and finds missing ones that Pillow does not report."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from PIL import Image, TiffImagePlugin

from convert.errors import ImageError
from convert.images.formats.codec_support import require_tiff_codec
from convert.images.formats.pages import has_further_pages
from convert.images.oddities import Oddity
from convert.images.open_image import decode_error, open_image
from convert.images.pixels.colours import SIXTEEN_BIT_GREY
from convert.images.png.content import has_all_rows, with_all_rows, without_texts
from convert.images.png.decoder import PNG_SIGNATURE
from convert.images.tiff.libtiff_errors import forget_errors, heard_error
from convert.images.tiff.strips import is_damaged, lacks_rows

_COMPRESSION, _NOTHING, _BITS = 259, 1, 258  # TIFF 6.0, section 8
_DEPTH_AT, _INTERLACE_AT = 24, 28  # of a PNG
_TWELVE_BITS = 1 << 12


class Loaded(NamedTuple):
    """A decoded image.

    Attributes:
        image: Its pixels.
        oddities: What is odd about its file.
    """

    image: Image.Image
    oddities: tuple[Oddity, ...]


def load(source: Image.Image, data: bytes, *, lenient: bool) -> Loaded:
    """Decodes an image.

    Args:
        source: The image, opened.
        data: The whole file.
        lenient: Keep it though rows are missing, or a codec warns.

    Raises:
        ImageError: It is damaged, or lacks rows.
        Exception: Whatever the decoder raises.
    """
    if isinstance(source, TiffImagePlugin.TiffImageFile):
        loaded = _load_tiff(source, data, lenient=lenient)
    elif data.startswith(PNG_SIGNATURE):
        loaded = _load_png(source, data, lenient=lenient)
    else:
        source.load()
        loaded = Loaded(source, ())
    oddities = loaded.oddities
    if has_further_pages(source, data):
        oddities = ("further_pages", *oddities)
    if _is_sixteen_bits(source, data) and _uses_few_bits(loaded.image):
        oddities = ("few_bits", *oddities)
    return Loaded(loaded.image, oddities)


def _load_tiff(source: TiffImagePlugin.TiffImageFile, data: bytes, *, lenient: bool) -> Loaded:
    compression = int(source.tag_v2.get(_COMPRESSION, _NOTHING))
    require_tiff_codec(compression)
    is_short = lacks_rows(source, data)
    # Only Pillow's own decoder makes missing rows black; libtiff would leave what was in memory.
    if is_short and not (lenient and compression == _NOTHING):
        raise ImageError("truncated", "the TIFF lacks strips, or they are too short for its rows")
    has_damage = is_damaged(source, data)
    if has_damage and not lenient:
        raise ImageError("damaged", "strips of the TIFF are damaged")
    forget_errors()
    source.load()
    if heard_error():
        raise ImageError("damaged", "libtiff cannot decode all of its pixels")
    return Loaded(source, ("damaged_kept",) if is_short or has_damage else ())


def _load_png(source: Image.Image, data: bytes, *, lenient: bool) -> Loaded:
    try:
        source.load()
    except ValueError:  # texts after the pixels that are larger than Pillow allows
        source = open_image(without_texts(data), source.width * source.height)
        source.load()
    except OSError as error:
        if not lenient:
            raise
        whole = with_all_rows(data, source.width * source.height)
        if whole is None:
            raise decode_error(source, error) from error
        source = open_image(whole, source.width * source.height)
        source.load()
        return Loaded(source, ("damaged_kept",))
    # Pillow leaves missing rows at zero, so nothing is missing where the last row is not. But the
    # first pass of an interlaced image may fill the last row of the image.
    if (not data[_INTERLACE_AT] and _has_last_row(source)) or has_all_rows(data):
        return Loaded(source, ())
    if not lenient:
        raise ImageError("truncated", "the PNG ends before its last row")
    return Loaded(source, ("damaged_kept",))


def _has_last_row(image: Image.Image) -> bool:
    """Returns whether the last row has a value other than zero; looks at its last pixel first."""
    pixel = image.getpixel((image.width - 1, image.height - 1))
    if any(pixel) if isinstance(pixel, tuple) else pixel:
        return True
    return any(image.crop((0, image.height - 1, image.width, image.height)).tobytes())


def _is_sixteen_bits(source: Image.Image, data: bytes) -> bool:
    """Returns whether a file stores more than 8 bits a value."""
    if isinstance(source, TiffImagePlugin.TiffImageFile):
        bits = source.tag_v2.get(_BITS, (1,))
        return bool(8 < max(bits) <= 16)
    return data.startswith(PNG_SIGNATURE) and data[_DEPTH_AT] == 16


def _uses_few_bits(image: Image.Image) -> bool:
    """Returns whether 16-bit values, some of which are not 0, are all below 4096."""
    if image.mode in SIXTEEN_BIT_GREY:
        return bool(0 < np.asarray(image).max() < _TWELVE_BITS)
    # Of other modes Pillow has kept the high byte.
    bands = [band for band in image.getbands() if band != "A"]
    high = max(int(np.asarray(image.getchannel(band)).max()) for band in bands)
    return bool(0 < high < _TWELVE_BITS >> 8)
