"""Pages and frames beyond the first, of which a record holds nothing."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from PIL import GifImagePlugin, Image, JpegImagePlugin, TiffImagePlugin

from convert.images.jpeg.segments import read_header
from convert.images.tag_directories import check_index, check_page, first_page, next_page

_SUBFILE_TYPE = 254  # TIFF 6.0, section 8; bit 0: a page at a reduced resolution, a preview
_PAGES = 64  # looked at in search of one that is no preview
# CIPA DC-007 (MPF), section 5.2.3: the index of a camera's JPEG that holds several pictures.
_MP_ENTRIES = 0xB002


def has_further_pages(image: Image.Image, data: bytes) -> bool:
    """Returns whether a file holds pictures beyond the one that Pillow shows first.

    Previews are none, neither in a TIFF nor in a camera's JPEG; nor are a JPEG's maps of depth or
    brightness, which are smaller than its picture.

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
        if isinstance(image, JpegImagePlugin.JpegImageFile):
            return "mp" in image.info and _has_further_picture(image, data)
    except MemoryError:
        raise
    except Exception:  # whatever its parser stumbles over: the first page may still be fine
        return False
    return bool(getattr(image, "is_animated", False))


def _has_further_page(data: bytes) -> bool:
    pages = TiffImagePlugin.TiffImageFile(BytesIO(data))
    page = next_page(data, first_page(data))  # the first was checked before the file was opened
    for number in range(1, _PAGES):
        if page:
            check_page(data, page)
            page = next_page(data, page)
        try:
            pages.seek(number)
        except EOFError:
            return False
        tags: Any = pages.tag_v2
        if not tags.get(_SUBFILE_TYPE, 0) & 1:
            return True
    return True


def _has_further_picture(image: JpegImagePlugin.JpegImageFile, data: bytes) -> bool:
    """Returns whether a JPEG's index lists a second picture with as many pixels as the first."""
    check_index(image.info["mp"])
    index: Any = image._getmp()
    start = image.info["mpoffset"]
    size = _num_pixels(data, 0)
    return any(
        not entry["Attribute"]["MPType"].startswith("Large Thumbnail")
        and _num_pixels(data, start + entry["DataOffset"]) >= size
        for entry in index[_MP_ENTRIES][1:_PAGES]
    )


def _num_pixels(data: bytes, start: int) -> int:
    header = read_header(data, start)
    return 0 if header is None else header.size[0] * header.size[1]
