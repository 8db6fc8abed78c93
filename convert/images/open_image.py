"""A source file opened: its format found by its content, its header read, nothing decoded yet."""

from __future__ import annotations

from PIL import Image, UnidentifiedImageError

from convert.errors import ImageError
from convert.images.formats.known_formats import format_of, unknown_format


def open_image(data: bytes, max_pixels: int) -> Image.Image:
    """Identifies an image by its content; decodes nothing yet.

    Args:
        data: The whole file.
        max_pixels: Width times height above which it is refused.

    Raises:
        ImageError: It is empty, of no allowed format, damaged, too large, or in a format that
            this installation cannot decode.
    """
    kind = format_of(data)
    kind.check(data)
    try:
        image = kind.read_header(data)
    except MemoryError:
        raise
    except Exception as error:  # damaged headers surface as whatever the parser stumbles over
        unknown = unknown_format(data) if isinstance(error, UnidentifiedImageError) else None
        damaged = ImageError("damaged", "its header cannot be read")
        raise kind.header_error(data) or unknown or damaged from error
    if image.width * image.height > max_pixels:
        raise ImageError(
            "too_large", f"{image.width}x{image.height} is more than {max_pixels} pixels"
        )
    kind.check_work(image, data, max_pixels)
    return image


def decode_error(image: Image.Image, error: Exception) -> ImageError:
    """Returns the error for a decoder's failure; Pillow's own text may hold object addresses."""
    kind = image.format or "image"
    if "truncated" in str(error):
        return ImageError("truncated", f"the {kind} ends before its last row")
    return ImageError("damaged", f"the {kind}'s pixels cannot be decoded")
