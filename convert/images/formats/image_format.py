"""The interface of every format of image files, with what Pillow does where no more is needed.

A file is recognised (`sniff`), bounded (`check`), its header read (`read_header`), bounded again
when its size is known (`check_work`), and decoded.
"""

from __future__ import annotations

import logging
from io import BytesIO
from typing import Any, ClassVar, NamedTuple

import numpy as np
from PIL import Image

from convert.config import Box
from convert.errors import ImageError
from convert.images.oddities import Oddity

# Pillow's own limit warns at a fixed number of pixels. `max_pixels` is checked instead, and also
# before any pixel is decoded.
Image.MAX_IMAGE_PIXELS = None

# Of damaged files Pillow says through `logging` what it also raises; without a handler that goes
# to stderr.
logging.getLogger("PIL").addHandler(logging.NullHandler())

Pixels = np.ndarray[Any, np.dtype[np.uint8]]

MISSING_CODEC = (
    "this Pillow was built without {library}; install {library}-dev and reinstall pillow-simd: "
    "make system-packages"
)


class Loaded(NamedTuple):
    """A decoded image.

    Attributes:
        image: Its header; and its pixels, unless others are given.
        oddities: What is odd about its file.
        pixels: uint8, shape (height, width) or (height, width, channels). None: those of `image`.
    """

    image: Image.Image
    oddities: tuple[Oddity, ...] = ()
    pixels: Pixels | None = None


class ImageFormat:
    """A format of image files that Pillow decodes by itself.

    Attributes:
        name: As Pillow calls it.
        signatures: What its files begin with.
    """

    name: ClassVar[str]
    signatures: ClassVar[tuple[bytes, ...]]

    def sniff(self, data: bytes) -> bool:
        """Returns whether a file is of this format, by its first bytes."""
        return data.startswith(self.signatures)

    def decode_plain(
        self, data: bytes, box: Box | None, max_pixels: int, *, to_box: bool
    ) -> tuple[Pixels, tuple[int, int]] | None:
        """Decodes a file of the usual kind by a decoder that is faster than Pillow.

        Args:
            data: The file.
            box: What of it is wanted. None: all of it.
            max_pixels: Width times height above which it is not decoded.
            to_box: Rows below the box may be left out.

        Returns:
            Its pixels, down to the box at least, and (width, height) of the source. None where
            anything is unusual or wrong: the other methods say what.
        """

    def check(self, data: bytes) -> None:
        """Refuses a file by a look at it, before Pillow reads its header.

        Raises:
            ImageError: It is damaged, Pillow cannot decode it here, or would take too long.
        """

    def read_header(self, data: bytes) -> Image.Image:
        """Returns the image of a file that was checked; decodes nothing yet.

        Raises:
            Exception: Whatever Pillow's parser stumbles over.
        """
        return Image.open(BytesIO(data), formats=(self.name,))

    def header_error(self, data: bytes) -> ImageError | None:
        """Returns why a header cannot be read; None if nothing more is known than that."""

    def check_work(self, image: Image.Image, data: bytes, max_pixels: int) -> None:
        """Refuses a file whose decoding would take more than images of `max_pixels` take.

        Raises:
            ImageError: It would.
        """

    def decode_less(
        self, image: Image.Image, data: bytes, box: Box, smallest: tuple[int, int], mode: str | None
    ) -> tuple[Image.Image, bytes, float]:
        """Makes an image decode less than all of itself.

        Args:
            image: Its header.
            data: The file.
            box: What of it is wanted.
            smallest: (width, height) that all of it must still have.
            mode: Pillow's mode of which it is wanted, if that is a simpler one.

        Returns:
            The header, the file, and how many times shorter the edges of the image became.
        """
        return image, data, 1.0

    def decode(
        self, image: Image.Image, data: bytes, *, full_size: tuple[int, int], lenient: bool
    ) -> Loaded:
        """Decodes a file.

        Args:
            image: Its header.
            data: The file.
            full_size: (width, height) of the image before `decode_less`.
            lenient: Keep it though rows are missing, or a codec warns.

        Raises:
            ImageError: It is damaged, or lacks rows.
            Exception: Whatever the decoder raises.
        """
        image.load()
        return Loaded(image)

    def completed(self, data: bytes, max_pixels: int) -> bytes | None:
        """Returns a file that was cut off with the rest of it black; None if it cannot be."""

    def has_further_pages(self, image: Image.Image, data: bytes) -> bool:
        """Returns whether a file holds pictures beyond the one that Pillow shows first.

        Previews are none, neither in a TIFF nor in a camera's JPEG; nor are a JPEG's maps of depth
        or brightness, which are smaller than its picture.

        Raises:
            Exception: Whatever Pillow's parser stumbles over.
        """
        return bool(getattr(image, "is_animated", False))

    def has_sixteen_bits(self, image: Image.Image, data: bytes) -> bool:
        """Returns whether a file stores more than 8 bits a value."""
        return False


def is_inside(box: Box | None, size: tuple[int, int]) -> bool:
    """Returns whether a box lies inside an image of (width, height); None is all of it."""
    left, top, right, bottom = box or (0, 0, *size)
    return left >= 0 and top >= 0 and right <= size[0] and bottom <= size[1]
