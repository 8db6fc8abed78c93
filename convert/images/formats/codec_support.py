"""The codecs of this installation: Pillow has those whose headers it found when it was built."""

from __future__ import annotations

import PIL
from PIL import features

from convert.images.formats.jpeg.decoder import JPEG_DECODER_VERSION
from convert.images.formats.png.fast_decoder import DECODER_VERSION

_MISSING = "not built in"


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


def _version(feature: str) -> str:
    return (features.version(feature) if features.check(feature) else None) or _MISSING


def _libjpeg() -> str:
    if features.check("libjpeg_turbo"):
        return f"libjpeg-turbo {_version('libjpeg_turbo')}"
    return f"libjpeg {_version('jpg')}"
