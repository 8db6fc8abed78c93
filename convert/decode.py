"""One source file's content to a decoded image: which decoder, which checks, which colours."""

from __future__ import annotations

import logging
from io import BytesIO

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

from convert.errors import ImageError
from convert.png import PNG_SIGNATURE, check_png
from convert.tiff import forget_errors, heard_error

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

_JPEG_SIGNATURE = b"\xff\xd8\xff"
_SIXTEEN_BIT_GREY = ("I;16", "I;16L", "I;16B", "I;16N")
# LAB is missing: Pillow converts it only where it was built with LittleCMS.
_RGB_OF = {"1": "RGB", "L": "RGB", "P": "RGB", "CMYK": "RGB", "YCbCr": "RGB"}
_RGBA_OF = {"LA": "RGBA", "PA": "RGBA", "RGBa": "RGBA"}
_ORIENTATION = 0x0112  # EXIF 2.3, section 4.6.4
_MAY_HOLD_ORIENTATION = ("exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp")


def open_image(data: bytes, max_pixels: int) -> Image.Image:
    """Identifies an image by its content; decodes nothing yet.

    Args:
        data: The whole file.
        max_pixels: Width times height above which it is refused.

    Raises:
        ImageError: It is empty, of no allowed format, damaged or too large.
    """
    if not data:
        raise ImageError("empty_file", "the file has 0 bytes")
    if data.startswith(PNG_SIGNATURE):
        check_png(data)
    try:
        image = _identify(data)
    except UnidentifiedImageError as error:
        raise ImageError(
            "unknown_format", f"starts with {data[:8]!r}, expected one of {', '.join(FORMATS)}"
        ) from error
    except MemoryError:
        raise
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
    # `open` would look at all formats first, and at the further pictures in a camera's JPEG.
    if data.startswith(PNG_SIGNATURE):
        return PngImagePlugin.PngImageFile(BytesIO(data))
    if data.startswith(_JPEG_SIGNATURE):
        return JpegImagePlugin.JpegImageFile(BytesIO(data))
    return Image.open(BytesIO(data), formats=FORMATS)


def load(image: Image.Image) -> None:
    """Decodes an image.

    Raises:
        ImageError: libtiff met an error that Pillow takes no notice of.
        Exception: Whatever the decoder raises.
    """
    forget_errors()
    image.load()
    if heard_error():
        raise ImageError("damaged", "libtiff cannot decode all of its pixels")


def orientation(image: Image.Image) -> int:
    """Returns an image's EXIF orientation, 1 (upright) to 8; 1 where none can be read.

    Pillow turns TIFFs upright by itself, so theirs is always 1.
    """
    if image.format == "TIFF" or not any(key in image.info for key in _MAY_HOLD_ORIENTATION):
        return 1
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except MemoryError:
        raise
    except Exception:  # whatever its parser stumbles over: the pixels may still be fine
        return 1
    return value if value in range(1, 9) else 1


def to_rgb(image: Image.Image) -> Image.Image:
    """Returns an image as RGB, or as RGBA if it has transparency.

    Raises:
        ImageError: Its pixels have no plain RGB form.
    """
    if image.mode in ("RGB", "RGBA"):
        return image
    if image.mode in _SIXTEEN_BIT_GREY:
        return _from_sixteen_bits(image)
    if image.mode in ("1", "P") and "transparency" in image.info:
        return image.convert("RGBA")
    mode = _RGB_OF.get(image.mode) or _RGBA_OF.get(image.mode)
    if mode is None:
        raise ImageError("unsupported_mode", f"pixels of Pillow mode {image.mode!r}")
    return image.convert(mode)


def _from_sixteen_bits(image: Image.Image) -> Image.Image:
    """Returns 16-bit grey as RGB, or as RGBA where one of its values stands for transparency."""
    grey = np.asarray(image).astype(np.uint16)
    # The high byte, which is also what Pillow keeps of 16-bit RGB.
    rgb = Image.fromarray((grey >> 8).astype(np.uint8)).convert("RGB")
    if "transparency" in image.info:
        rgb.putalpha(
            Image.fromarray(np.where(grey == image.info["transparency"], 0, 255).astype(np.uint8))
        )
    return rgb


def decode_error(image: Image.Image, error: Exception) -> ImageError:
    """Words a decoder's failure; Pillow's own text may hold object addresses."""
    kind = image.format or "image"
    if "truncated" in str(error):
        return ImageError("truncated", f"the {kind} ends before its last row")
    return ImageError("damaged", f"the {kind}'s pixels cannot be decoded")
