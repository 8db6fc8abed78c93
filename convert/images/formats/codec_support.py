"""The codecs of this installation: Pillow has those whose headers it found when it was built."""

from __future__ import annotations

import PIL
from PIL import TiffImagePlugin, features

from convert.errors import ImageError
from convert.images.jpeg.decoder import JPEG_DECODER_VERSION
from convert.images.png.decoder import DECODER_VERSION
from convert.images.tiff.libtiff_errors import is_configured

_REMEDY = "install {package} and reinstall pillow-simd: make system-packages"
_NO_WEBP = "this Pillow was built without libwebp; " + _REMEDY.format(package="libwebp-dev")
_NO_TIFF = "this Pillow was built without libtiff; " + _REMEDY.format(package="libtiff-dev")

_UNCOMPRESSED = 1
_OLD_JPEG, _JPEG = 6, 7
_NAMES = {
    2: "CCITT RLE", 3: "CCITT group 3", 4: "CCITT group 4", 5: "LZW", _OLD_JPEG: "old-style JPEG",
    _JPEG: "JPEG", 8: "deflate", 32773: "PackBits", 32809: "ThunderScan", 32946: "deflate",
    33003: "JPEG 2000", 33005: "JPEG 2000", 34661: "JBIG", 34676: "SGI log", 34677: "SGI log",
    34712: "JPEG 2000", 34887: "LERC", 34925: "LZMA", 50000: "Zstandard", 50001: "WebP",
    50002: "JPEG XL", 52546: "JPEG XL",
}  # fmt: skip


def require_webp() -> None:
    """Refuses a WebP file.

    Raises:
        ImageError: Pillow cannot read any.
    """
    if not features.check("webp"):
        raise ImageError("unsupported_here", f"a WebP, and {_NO_WEBP}")


def require_tiff_codec(compression: int) -> None:
    """Refuses a TIFF whose compression cannot be read here.

    Args:
        compression: Its Compression tag.

    Raises:
        ImageError: It cannot.
    """
    if compression == _UNCOMPRESSED:
        return
    name = _NAMES.get(compression)
    kind = f"a TIFF compressed by {name}" if name else f"a TIFF of compression {compression}"
    if not features.check("libtiff"):
        raise ImageError("unsupported_here", f"{kind}, and {_NO_TIFF}")
    if compression not in TiffImagePlugin.COMPRESSION_INFO or not is_configured(compression):
        raise ImageError(
            "unsupported_here",
            f"{kind}, which this Pillow and its libtiff cannot decode; save it as LZW",
        )


def codec_lines() -> list[str]:
    """Returns a line for each format: what decodes it, with versions."""
    return [
        f"Pillow {PIL.__version__}",
        f"PNG: zlib {_version('zlib')}, pyspng {DECODER_VERSION or _MISSING}",
        f"JPEG: {_libjpeg()}, simplejpeg {JPEG_DECODER_VERSION}",
        f"WebP: libwebp {_version('webp')}",
        f"TIFF: libtiff {_version('libtiff')}",
        "BMP, GIF: Pillow",
    ]


_MISSING = "not built in"


def _version(feature: str) -> str:
    return (features.version(feature) if features.check(feature) else None) or _MISSING


def _libjpeg() -> str:
    if features.check("libjpeg_turbo"):
        return f"libjpeg-turbo {_version('libjpeg_turbo')}"
    return f"libjpeg {_version('jpg')}"
