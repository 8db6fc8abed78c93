"""The part of a source that a record's image is made of: decoded, turned, cropped."""

from __future__ import annotations

from typing import NamedTuple

from PIL import Image, JpegImagePlugin

from convert.config import Box
from convert.errors import ImageError
from convert.images.decode import load
from convert.images.formats.pages import has_further_pages
from convert.images.jpeg.decoder import Decoded, decode_jpeg
from convert.images.oddities import Oddity
from convert.images.open_image import open_image
from convert.images.options import ImageOptions
from convert.images.pixels.alpha import flatten
from convert.images.pixels.colours import orientation, to_rgb
from convert.images.pixels.fit import Part
from convert.images.png.decoder import check_png, image_of, plain_png, plain_size, png_rows

# EXIF 2.3, section 4.6.4: where row 0 and column 0 of the stored pixels are to be seen.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class Region(NamedTuple):
    """The part of a source that a record's image is made of.

    Attributes:
        image: RGB or RGBA pixels.
        part: What of them is resized.
        shape: (width, height) of that in pixels of the source.
        content: Where they are pixels of the source; the rest is padding.
        orientation: The source's EXIF orientation.
        oddities: What is odd about the source's file.
    """

    image: Image.Image
    part: Part
    shape: tuple[int, int]
    content: Box
    orientation: int
    oddities: tuple[Oddity, ...] = ()

    @classmethod
    def whole(
        cls, image: Image.Image, turned: int = 1, oddities: tuple[Oddity, ...] = ()
    ) -> Region:
        """Returns a region that is all of an image."""
        everything = _whole(image)
        return cls(to_rgb(image), everything, image.size, everything, turned, oddities)


def plain_region(data: bytes, box: Box | None, max_pixels: int) -> Region | None:
    """Decodes a PNG of the usual kind without Pillow, whose look at its header takes a sixth more.

    Args:
        data: The whole file.
        box: What of it is wanted. None: all of it.
        max_pixels: Width times height above which it is not decoded.

    Returns:
        None where anything is unusual or wrong: whoever opens the file in earnest says what.
    """
    size = plain_size(data)
    if size is None or size[0] * size[1] > max_pixels:
        return None
    stored = box or (0, 0, *size)
    if not _is_inside(stored, size):
        return None
    try:
        check_png(data)
    except ImageError:
        return None
    plain = plain_png(data, stored)
    return None if plain is None else Region.whole(plain)


def decode_region(
    source: Image.Image, data: bytes, box: Box | None, options: ImageOptions
) -> Region:
    """Decodes what is inside a box; None is all of the image.

    Raises:
        ImageError: The box reaches past the image, or the image is damaged.
        Exception: Whatever a decoder raises.
    """
    full_size = source.size
    stored = box or _whole(source)
    is_inside = _is_inside(stored, full_size)
    scale = 1.0
    # Only an upright image has the box where the decoder can see it.
    if options.fast_decode and is_inside and not (options.exif and _may_be_turned(source, data)):
        source, data, scale = _lighten(source, data, stored, options)
        box = stored if scale > 1 else box
    if isinstance(source, JpegImagePlugin.JpegImageFile):
        decoded = decode_jpeg(source, data, full_size=full_size, lenient=options.lenient)
        if decoded is not None:
            return _of_jpeg(decoded, source, data, box, scale, options)
    plain = plain_png(data, stored) if is_inside else None
    if plain is not None:
        return Region.whole(plain)
    image, oddities = load(source, data, lenient=options.lenient)
    return _cut(image, box, scale, orientation(image), options)._replace(oddities=oddities)


def _of_jpeg(
    decoded: Decoded,
    source: Image.Image,
    data: bytes,
    box: Box | None,
    scale: float,
    options: ImageOptions,
) -> Region:
    """Returns the region of a JPEG that was judged."""
    turned = orientation(source)
    pixels, file, oddities = decoded
    if has_further_pages(source, data):
        oddities = ("further_pages", *oddities)
    if pixels is None:
        if file is not data:
            source, scale = open_image(file, options.max_pixels), 1.0
        source.load()
        return _cut(source, box, scale, turned, options)._replace(oddities=oddities)
    stored = box or _whole(source)
    is_upright = turned == 1 or not options.exif
    if scale == 1 and is_upright and _is_inside(stored, source.size):
        # Cut out before Pillow takes it over, which copies.
        return Region.whole(image_of(pixels, stored), turned, oddities)
    image = Image.fromarray(pixels)
    return _cut(image, box, scale, turned, options)._replace(oddities=oddities)


def _cut(
    image: Image.Image, box: Box | None, scale: float, turned: int, options: ImageOptions
) -> Region:
    """Returns the part of a decoded image inside a box of its source; None is all of it.

    Args:
        image: All of the image, perhaps at a reduced scale.
        box: In pixels of the source, upright if `options.exif`.
        scale: How many times larger the source is.
        turned: EXIF orientation.
        options: How.
    """
    if scale > 1 and box is not None:
        left, top, right, bottom = (edge / scale for edge in box)
        shape = (box[2] - box[0], box[3] - box[1])
        return Region(to_rgb(image), (left, top, right, bottom), shape, _whole(image), turned)
    if options.exif and turned > 1:
        image = image.transpose(_UPRIGHT[turned])
    cropped, content = _crop(image, box or _whole(image), options)
    return Region(cropped, _whole(cropped), cropped.size, content, turned)


def _may_be_turned(source: Image.Image, data: bytes) -> bool:
    """Returns whether an image has an EXIF orientation, or may have one after its pixels."""
    return orientation(source) > 1 or b"eXIf" in data


def _lighten(
    source: Image.Image, data: bytes, box: Box, options: ImageOptions
) -> tuple[Image.Image, bytes, float]:
    """Makes an image decode less than all of itself; tells by how much its edges shrink."""
    if not isinstance(source, JpegImagePlugin.JpegImageFile):
        rows = png_rows(data, box[3])
        lighter = source if rows is data else open_image(rows, options.max_pixels)
        return lighter, rows, 1.0
    left, top, right, bottom = box
    width, height = source.size
    # As small as it may become for the crop to stay at least as large as the result.
    smallest = (
        -(-width * options.size[0] // (right - left)),
        -(-height * options.size[1] // (bottom - top)),
    )
    drafted = source.draft("L" if options.channels == 1 else None, smallest)
    return source, data, width / drafted[1][2] if drafted else 1.0


def _is_inside(box: Box, size: tuple[int, int]) -> bool:
    left, top, right, bottom = box
    return left >= 0 and top >= 0 and right <= size[0] and bottom <= size[1]


def _crop(image: Image.Image, box: Box, options: ImageOptions) -> tuple[Image.Image, Box]:
    """Returns the part inside a box as RGB or RGBA, and where in it pixels of the image are."""
    if box == _whole(image):
        return to_rgb(image), box
    left, top, right, bottom = box
    content = (
        max(left, 0) - left,
        max(top, 0) - top,
        min(right, image.width) - left,
        min(bottom, image.height) - top,
    )
    if _is_inside(box, image.size):
        return to_rgb(image.crop(box)), content
    if not options.pad_crop:
        raise ImageError(
            "box_outside",
            f"the box {left} {top} {right} {bottom} reaches past the image, "
            f"{image.width}x{image.height}",
        )
    width, height = right - left, bottom - top
    if width * height > max(options.max_pixels, image.width * image.height):
        raise ImageError(
            "too_large", f"the box, {width}x{height}, is more than {options.max_pixels} pixels"
        )
    image = to_rgb(image)  # before the crop: a palette's entry 0 need not be black
    if options.alpha != "drop":
        image, _ = flatten(image, options.alpha, _whole(image))  # nor is the padding see-through
    return image.crop(box), content


def _whole(image: Image.Image) -> Box:
    return 0, 0, image.width, image.height
