"""A decoded image's orientation and colours."""

from __future__ import annotations

import numpy as np
from PIL import Image

from convert.config import Box
from convert.errors import ImageError
from convert.images.formats.image_format import Pixels
from convert.images.formats.tag_directories import check_exif
from convert.images.formats.tags import Tag

SIXTEEN_BIT_GREY = ("I;16", "I;16L", "I;16B", "I;16N")
# LAB is missing: Pillow converts it only where it was built with LittleCMS.
_RGB_OF = {"1": "RGB", "L": "RGB", "P": "RGB", "CMYK": "RGB", "YCbCr": "RGB"}
_RGBA_OF = {"LA": "RGBA", "PA": "RGBA", "RGBa": "RGBA"}
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
_MODES = {3: "RGB", 4: "RGBA"}  # by the number of channels
_EXIF_TEXT = "Raw profile type exif"
_MAY_HOLD_ORIENTATION = ("exif", _EXIF_TEXT, "xmp", "XML:com.adobe.xmp")


def orientation(image: Image.Image) -> int:
    """Returns an image's EXIF orientation, 1 (upright) to 8; 1 where none can be read.

    Pillow turns TIFFs upright by itself, so theirs is always 1.

    Raises:
        ImageError: Its EXIF names far more bytes than it has.
    """
    if image.format == "TIFF" or not any(key in image.info for key in _MAY_HOLD_ORIENTATION):
        return 1
    try:
        check_exif(_exif_of(image))
        value = image.getexif().get(Tag.ORIENTATION, 1)
    except (ImageError, MemoryError):
        raise
    except Exception:  # whatever its parser stumbles over: the pixels may still be fine
        return 1
    return value if value in range(1, 9) else 1


def _exif_of(image: Image.Image) -> bytes:
    """Returns the EXIF block that Pillow would read of an image, perhaps an empty one."""
    block = image.info.get("exif")
    if block is None and _EXIF_TEXT in image.info:  # hexadecimal, after three lines
        block = bytes.fromhex("".join(image.info[_EXIF_TEXT].split("\n")[3:]))
    return block or b""


def turn_upright(image: Image.Image, orientation: int) -> Image.Image:
    """Returns an image as its EXIF orientation says that it is to be seen."""
    return image if orientation == 1 else image.transpose(_UPRIGHT[orientation])


def from_array(pixels: Pixels, box: Box) -> Image.Image:
    """Returns the part of some pixels inside a box; `Image.fromarray` takes twice the time.

    Args:
        pixels: uint8, shape (height, width) or (height, width, channels).
        box: Inside them.
    """
    left, top, right, bottom = box
    mode = "L" if pixels.ndim == 2 else _MODES[pixels.shape[2]]
    content = pixels[top:bottom, left:right].tobytes()
    return Image.frombytes(mode, (right - left, bottom - top), content)


def to_rgb(image: Image.Image) -> Image.Image:
    """Returns an image as RGB, or as RGBA if it has transparency.

    Raises:
        ImageError: Its pixels have no plain RGB form.
    """
    if image.mode in ("RGB", "RGBA"):
        return image
    if image.mode in SIXTEEN_BIT_GREY:
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
