"""WebP files: refused where they are cut off, or Pillow has no decoder of them."""

from __future__ import annotations

from PIL import WebPImagePlugin, features

from convert.errors import ImageError
from convert.images.formats.image_format import MISSING_CODEC, ImageFormat


class WebpFormat(ImageFormat):
    """WebP; see `ImageFormat`."""

    name = WebPImagePlugin.WebPImageFile.format
    signatures = (b"RIFF",)

    def sniff(self, data: bytes) -> bool:
        """Tells it from other files of the same container, such as sounds."""
        return super().sniff(data) and data[8:12] == b"WEBP"

    def check(self, data: bytes) -> None:
        """Refuses a file that is shorter than it says."""
        if not features.check("webp"):
            missing = MISSING_CODEC.format(library="libwebp")
            raise ImageError("unsupported_here", f"a WebP, and {missing}")
        claimed = 8 + int.from_bytes(data[4:8], "little")
        if claimed > len(data):
            raise ImageError("truncated", f"the WEBP has {len(data)} of {claimed} bytes")
