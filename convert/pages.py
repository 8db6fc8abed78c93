"""Pages and frames beyond the first, of which a record holds nothing."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from PIL import GifImagePlugin, Image, TiffImagePlugin

_SUBFILE_TYPE = 254  # TIFF 6.0, section 8; bit 0: a page at a reduced resolution, a preview
_PAGES = 64  # looked at in search of one that is no preview


def has_further_pages(image: Image.Image, data: bytes) -> bool:
    """Tells whether a file holds pictures beyond the one that Pillow shows first.

    Previews are none, neither in a TIFF nor in a camera's JPEG.

    Args:
        image: The file, opened.
        data: All of it.
    """
    try:
        if isinstance(image, GifImagePlugin.GifImageFile):
            # Opened once more: to look for it moves on to the second frame.
            return GifImagePlugin.GifImageFile(BytesIO(data)).is_animated
        if isinstance(image, TiffImagePlugin.TiffImageFile):
            return image.is_animated and _has_further_page(data)
    except MemoryError:
        raise
    except Exception:  # whatever its parser stumbles over: the first page may still be fine
        return False
    return bool(getattr(image, "is_animated", False))


def _has_further_page(data: bytes) -> bool:
    pages = TiffImagePlugin.TiffImageFile(BytesIO(data))
    for number in range(1, _PAGES):
        try:
            pages.seek(number)
        except EOFError:
            return False
        tags: Any = pages.tag_v2
        if not tags.get(_SUBFILE_TYPE, 0) & 1:
            return True
    return True
