"""BMP files: those of runs are bounded before Pillow goes through them."""

from __future__ import annotations

from PIL import BmpImagePlugin, Image

from convert.errors import ImageError
from convert.images.formats.image_format import ImageFormat

_RUNS = (1, 2)  # kinds of compression: runs of bytes and of halves
_RUN_BYTES, _RUN_FREE_BYTES = 2, 1 << 16  # of each pixel and row at the worst, and of the header


class BmpFormat(ImageFormat):
    """BMP; see `ImageFormat`."""

    name = BmpImagePlugin.BmpImageFile.format
    signatures = (b"BM",)

    def check_work(self, image: Image.Image, data: bytes, max_pixels: int) -> None:
        """Refuses too many runs: Pillow goes through them one by one, also those of no pixel."""
        num_pixels = image.width * image.height
        most_bytes = _RUN_BYTES * (num_pixels + 2 * image.height) + _RUN_FREE_BYTES
        if image.info.get("compression") in _RUNS and len(data) > most_bytes:
            raise ImageError("too_large", f"a BMP of {len(data):,} bytes for {num_pixels:,} pixels")
