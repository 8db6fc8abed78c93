"""A decoded image's orientation and colours."""

from __future__ import annotations

import numpy as np
from PIL import Image

from convert.errors import ImageError
from convert.images.tag_directories import check_exif

SIXTEEN_BIT_GREY = ("I;16", "I;16L", "I;16B", "I;16N")
# LAB is missing: Pillow converts it only where it was built with LittleCMS.
_RGB_OF = {"1": "RGB", "L": "RGB", "P": "RGB", "CMYK": "RGB", "YCbCr": "RGB"}
_RGBA_OF = {"LA": "RGBA", "PA": "RGBA", "RGBa": "RGBA"}
_ORIENTATION = 0x0112  # EXIF 2.3, section 4.6.4
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
        value = image.getexif().get(_ORIENTATION, 1)
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
