"""A source file opened: its format found by its content, its header read, nothing decoded yet."""

from __future__ import annotations

import logging
import struct
from io import BytesIO
from typing import Any

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

from convert.errors import ImageError
from convert.images.formats.codec_support import require_tiff_codec, require_webp
from convert.images.formats.foreign_formats import foreign_format
from convert.images.formats.gif_blocks import check_gif
from convert.images.jpeg.kinds import check_jpeg
from convert.images.jpeg.scans import NUM_SCAN_MARKERS, check_header, check_scans
from convert.images.jpeg.segments import JPEG_SIGNATURE
from convert.images.png.content import has_profiles, without_texts
from convert.images.png.decoder import PNG_SIGNATURE, check_png
from convert.images.tag_directories import check_tiff

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

# Of damaged files Pillow says through `logging` what it also raises; without a handler that goes
# to stderr.
logging.getLogger("PIL").addHandler(logging.NullHandler())

_TIFF_SIGNATURES = (b"II*\0", b"MM\0*")
# Pillow takes these for TIFFs, too: bytes in a wrong order, and BigTIFF.
_ANY_TIFF = (*_TIFF_SIGNATURES, b"MM*\0", b"II\0*", b"MM\0+", b"II+\0")
_RUNS = (1, 2)  # kinds of compression of a BMP: runs of bytes and of halves
_RUN_BYTES, _RUN_FREE_BYTES = 2, 1 << 16  # of each pixel and row at the worst, and of the header
_COMPRESSION, _NOTHING = 259, 1  # TIFF 6.0, section 8


def open_image(data: bytes, max_pixels: int) -> Image.Image:
    """Identifies an image by its content; decodes nothing yet.

    Args:
        data: The whole file.
        max_pixels: Width times height above which it is refused.

    Raises:
        ImageError: It is empty, of no allowed format, damaged, too large, or in a format that
            this installation cannot decode.
    """
    _check(data)
    try:
        image = _identify(data)
    except UnidentifiedImageError as error:
        raise _unidentified(data) from error
    except MemoryError:
        raise
    except Exception as error:
        if data.startswith(JPEG_SIGNATURE):
            check_jpeg(data)
        # Damaged headers surface as whatever the plugin's parser stumbles over.
        raise _unreadable(data) from error
    _check_work(image, data, max_pixels)
    return image


def _check_work(image: Image.Image, data: bytes, max_pixels: int) -> None:
    """Refuses an image whose decoding would take more than images of `max_pixels` take."""
    num_pixels = image.width * image.height
    if num_pixels > max_pixels:
        raise ImageError(
            "too_large", f"{image.width}x{image.height} is more than {max_pixels} pixels"
        )
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        image.info[NUM_SCAN_MARKERS] = check_scans(data, num_pixels, max_pixels)
    is_bmp = isinstance(image, BmpImagePlugin.BmpImageFile)
    most_bytes = _RUN_BYTES * (num_pixels + 2 * image.height) + _RUN_FREE_BYTES
    # Pillow goes through runs of pixels one by one, also through those of none.
    if is_bmp and image.info.get("compression") in _RUNS and len(data) > most_bytes:
        raise ImageError("too_large", f"a BMP of {len(data):,} bytes for {num_pixels:,} pixels")


def _check(data: bytes) -> None:
    """Refuses what can be refused by a look at the file, and with a better reason than Pillow's."""
    if not data:
        raise ImageError("empty_file", "the file has 0 bytes")
    if data.startswith(PNG_SIGNATURE):
        check_png(data)
    elif data.startswith(JPEG_SIGNATURE):
        check_header(data)
    elif data.startswith(b"GIF8"):
        check_gif(data)
    elif data.startswith(_ANY_TIFF):
        check_tiff(data)
    elif data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        require_webp()
        claimed = 8 + int.from_bytes(data[4:8], "little")
        if claimed > len(data):
            raise ImageError("truncated", f"the WEBP has {len(data)} of {claimed} bytes")


def _identify(data: bytes) -> Image.Image:
    """Returns the image with its header read."""
    # `open` would look at all formats first, and at the further pictures in a camera's JPEG.
    if data.startswith(PNG_SIGNATURE):
        if has_profiles(data):
            return PngImagePlugin.PngImageFile(BytesIO(without_texts(data)))
        try:
            return PngImagePlugin.PngImageFile(BytesIO(data))
        except ValueError:  # its texts are larger than Pillow allows: no reason to refuse it
            return PngImagePlugin.PngImageFile(BytesIO(without_texts(data)))
    if data.startswith(JPEG_SIGNATURE):
        return JpegImagePlugin.JpegImageFile(BytesIO(data))
    return Image.open(BytesIO(data), formats=FORMATS)


def _unidentified(data: bytes) -> ImageError:
    """Returns the error for a file that no decoder recognises."""
    if data.startswith(_TIFF_SIGNATURES):
        return _unreadable(data)
    foreign = foreign_format(data)
    what = f"{foreign}, " if foreign else ""
    return ImageError(
        "unknown_format", f"{what}starts with {data[:8]!r}, expected one of {', '.join(FORMATS)}"
    )


def _unreadable(data: bytes) -> ImageError:
    """Returns the error for a header that cannot be read; for a TIFF with the reason, if known."""
    damaged = ImageError("damaged", "its header cannot be read")
    if not data.startswith(_TIFF_SIGNATURES):
        return damaged
    order = "<" if data.startswith(b"II") else ">"
    if len(data) < 8 or struct.unpack_from(f"{order}I", data, 4)[0] + 2 > len(data):
        return ImageError("truncated", f"the TIFF ends after {len(data)} bytes, before its tags")
    try:
        tags: Any = TiffImagePlugin.ImageFileDirectory_v2(data[:8])
        file = BytesIO(data)
        file.seek(tags.next)
        tags.load(file)
        require_tiff_codec(int(tags.get(_COMPRESSION, _NOTHING)))
    except ImageError as error:
        return error
    except Exception:  # whatever its parser stumbles over
        return damaged
    return damaged


def decode_error(image: Image.Image, error: Exception) -> ImageError:
    """Returns the error for a decoder's failure; Pillow's own text may hold object addresses."""
    kind = image.format or "image"
    if "truncated" in str(error):
        return ImageError("truncated", f"the {kind} ends before its last row")
    return ImageError("damaged", f"the {kind}'s pixels cannot be decoded")
