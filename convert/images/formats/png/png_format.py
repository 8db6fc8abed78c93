"""PNG files: checked chunk by chunk, and decoded by Pillow where `fast_decoder` does not."""

from __future__ import annotations

from io import BytesIO

from PIL import Image, PngImagePlugin

from convert.config import Box
from convert.errors import ImageError
from convert.images.formats.image_format import ImageFormat, Loaded, Pixels, is_inside
from convert.images.formats.png.chunks import (
    PNG_SIGNATURE,
    check_chunks,
    first_rows,
    has_all_rows,
    has_profiles,
    with_all_rows,
    without_texts,
)
from convert.images.formats.png.fast_decoder import plain_pixels, plain_size

_DEPTH_AT, _INTERLACE_AT = 24, 28


class PngFormat(ImageFormat):
    """PNG; see `ImageFormat`."""

    name = PngImagePlugin.PngImageFile.format
    signatures = (PNG_SIGNATURE,)

    def decode_plain(
        self, data: bytes, box: Box | None, max_pixels: int, *, to_box: bool
    ) -> tuple[Pixels, tuple[int, int]] | None:
        """Decodes a PNG of the usual kind: Pillow's look at its header takes a sixth more."""
        size = plain_size(data)
        if size is None or size[0] * size[1] > max_pixels or not is_inside(box, size):
            return None
        try:
            check_chunks(data)
        except ImageError:
            return None
        pixels = plain_pixels(first_rows(data, box[3]) if to_box and box else data)
        return None if pixels is None else (pixels, size)

    def check(self, data: bytes) -> None:
        """Compares the CRC of every chunk; Pillow skips those of the pixels."""
        check_chunks(data)

    def read_header(self, data: bytes) -> Image.Image:
        """Leaves out texts that are larger than Pillow allows: no reason to refuse the file."""
        if not has_profiles(data):
            try:
                return PngImagePlugin.PngImageFile(BytesIO(data))
            except ValueError:
                pass
        return PngImagePlugin.PngImageFile(BytesIO(without_texts(data)))

    def decode_less(
        self, image: Image.Image, data: bytes, box: Box, smallest: tuple[int, int], mode: str | None
    ) -> tuple[Image.Image, bytes, float]:
        """Leaves out the rows below the box."""
        rows = first_rows(data, box[3])
        return image if rows is data else self.read_header(rows), rows, 1.0

    def decode(
        self, image: Image.Image, data: bytes, *, full_size: tuple[int, int], lenient: bool
    ) -> Loaded:
        """Decodes a file of which no row is missing; see `ImageFormat`."""
        try:
            image.load()
        except ValueError:  # texts after the pixels that are larger than Pillow allows
            image = self.read_header(without_texts(data))
            image.load()
        except OSError:
            whole = self.completed(data, image.width * image.height) if lenient else None
            if whole is None:
                raise
            image = self.read_header(whole)
            image.load()
            return Loaded(image, ("damaged_kept",))
        # Pillow leaves missing rows at zero, so nothing is missing where the last row is not. But
        # the first pass of an interlaced image may fill the last row of the image.
        if (not data[_INTERLACE_AT] and _has_last_row(image)) or has_all_rows(data):
            return Loaded(image)
        if not lenient:
            raise ImageError("truncated", "the PNG ends before its last row")
        return Loaded(image, ("damaged_kept",))

    def completed(self, data: bytes, max_pixels: int) -> bytes | None:
        """Writes the missing rows as zeros."""
        return with_all_rows(data, max_pixels)

    def has_sixteen_bits(self, image: Image.Image, data: bytes) -> bool:
        """Looks at the depth."""
        return data[_DEPTH_AT] == 16


def _has_last_row(image: Image.Image) -> bool:
    """Returns whether the last row has a value other than zero; looks at its last pixel first."""
    pixel = image.getpixel((image.width - 1, image.height - 1))
    if any(pixel) if isinstance(pixel, tuple) else pixel:
        return True
    return any(image.crop((0, image.height - 1, image.width, image.height)).tobytes())
