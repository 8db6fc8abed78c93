"""TIFF files: their tags are bounded, their strips looked at before and after libtiff decodes."""

from __future__ import annotations

import struct
from io import BytesIO
from typing import Any

from PIL import Image, TiffImagePlugin, features

from convert.errors import ImageError
from convert.images.formats.image_format import MISSING_CODEC, ImageFormat, Loaded
from convert.images.formats.tag_directories import check_page, first_page, next_page
from convert.images.formats.tags import Compression, Tag
from convert.images.formats.tiff.libtiff_errors import forget_errors, heard_error, is_configured
from convert.images.formats.tiff.strips import find_flaw

_SIGNATURES = (b"II*\0", b"MM\0*")
# Pillow takes these for TIFFs, too: bytes in a wrong order, and BigTIFF.
_OTHER_SIGNATURES = (b"MM*\0", b"II\0*", b"MM\0+", b"II+\0")
_PAGES = 64  # looked at in search of one that is no preview
_CODECS = {
    2: "CCITT RLE", 3: "CCITT group 3", 4: "CCITT group 4", 5: "LZW", 6: "old-style JPEG",
    7: "JPEG", 8: "deflate", 32773: "PackBits", 32809: "ThunderScan", 32946: "deflate",
    33003: "JPEG 2000", 33005: "JPEG 2000", 34661: "JBIG", 34676: "SGI log", 34677: "SGI log",
    34712: "JPEG 2000", 34887: "LERC", 34925: "LZMA", 50000: "Zstandard", 50001: "WebP",
    50002: "JPEG XL", 52546: "JPEG XL",
}  # fmt: skip


class TiffFormat(ImageFormat):
    """TIFF; see `ImageFormat`."""

    name = TiffImagePlugin.TiffImageFile.format
    signatures = _SIGNATURES + _OTHER_SIGNATURES

    def check(self, data: bytes) -> None:
        """Refuses tags that take far more memory or time than the file lets expect."""
        check_page(data, first_page(data))

    def header_error(self, data: bytes) -> ImageError | None:
        """Looks whether the file ends before its tags, or they name an unknown compression."""
        if not data.startswith(_SIGNATURES):
            return None
        order = "<" if data.startswith(b"II") else ">"
        if len(data) < 8 or struct.unpack_from(f"{order}I", data, 4)[0] + 2 > len(data):
            cut = f"the TIFF ends after {len(data)} bytes, before its tags"
            return ImageError("truncated", cut)
        try:
            tags: Any = TiffImagePlugin.ImageFileDirectory_v2(data[:8])
            file = BytesIO(data)
            file.seek(tags.next)
            tags.load(file)
            _require_codec(_compression(tags))
        except ImageError as error:
            return error
        except Exception:  # whatever its parser stumbles over
            pass
        return ImageError("damaged", "its header cannot be read")

    def decode(
        self, image: Image.Image, data: bytes, *, full_size: tuple[int, int], lenient: bool
    ) -> Loaded:
        """Decodes a file of which no strip is missing or damaged; see `ImageFormat`."""
        assert isinstance(image, TiffImagePlugin.TiffImageFile)
        compression = _compression(image.tag_v2)
        _require_codec(compression)
        flaw = find_flaw(image, data)
        # Only Pillow's own decoder makes missing rows black; libtiff leaves what was in memory.
        if flaw == "truncated" and not (lenient and compression == Compression.NONE):
            raise ImageError(flaw, "the TIFF lacks strips, or they are too short for its rows")
        if flaw == "damaged" and not lenient:
            raise ImageError(flaw, "strips of the TIFF are damaged")
        forget_errors()
        image.load()
        if heard_error():
            raise ImageError("damaged", "libtiff cannot decode all of its pixels")
        return Loaded(image, ("damaged_kept",) if flaw else ())

    def has_further_pages(self, image: Image.Image, data: bytes) -> bool:
        """Looks for a page that is no preview."""
        if not getattr(image, "is_animated", False):
            return False
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
            if not tags.get(Tag.SUBFILE_TYPE, 0) & 1:
                return True
        return True

    def has_sixteen_bits(self, image: Image.Image, data: bytes) -> bool:
        """Looks at the bits of each channel."""
        assert isinstance(image, TiffImagePlugin.TiffImageFile)
        return bool(8 < max(image.tag_v2.get(Tag.BITS, (1,))) <= 16)


def _compression(tags: Any) -> int:
    return int(tags.get(Tag.COMPRESSION, Compression.NONE))


def _require_codec(compression: int) -> None:
    """Refuses a compression that cannot be decoded here.

    Raises:
        ImageError: It is one.
    """
    if compression == Compression.NONE:
        return
    name = _CODECS.get(compression)
    kind = f"a TIFF compressed by {name}" if name else f"a TIFF of compression {compression}"
    if not features.check("libtiff"):
        missing = MISSING_CODEC.format(library="libtiff")
        raise ImageError("unsupported_here", f"{kind}, and {missing}")
    if compression not in TiffImagePlugin.COMPRESSION_INFO or not is_configured(compression):
        raise ImageError(
            "unsupported_here",
            f"{kind}, which this Pillow and its libtiff cannot decode; save it as LZW",
        )
