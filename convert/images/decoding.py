"""From a file's bytes to the pixels inside a box, whatever the file's format."""

from __future__ import annotations

from typing import NamedTuple

from PIL import Image

from convert.config import Box
from convert.errors import ImageError
from convert.images.formats.image_format import ImageFormat, Loaded, is_inside
from convert.images.oddities import Oddity
from convert.images.open_image import decode_error, format_of, open_image
from convert.images.options import ImageOptions
from convert.images.pixels.alpha import flatten
from convert.images.pixels.colours import from_array, orientation, to_rgb, turn_upright
from convert.images.pixels.fit import Part
from convert.images.pixels.looks import uses_few_bits


class Decoded(NamedTuple):
    """The part of a source that a record's image is made of.

    Attributes:
        image: RGB or RGBA pixels.
        part: What of them is resized.
        shape: (width, height) of that in pixels of the source.
        content: Where they are pixels of the source; the rest is padding.
        source_format: `PNG`, `JPEG` and so on.
        source_size: (width, height) of the source as stored.
        orientation: The source's EXIF orientation.
        oddities: What is odd about the source's file.
    """

    image: Image.Image
    part: Part
    shape: tuple[int, int]
    content: Box
    source_format: str
    source_size: tuple[int, int]
    orientation: int
    oddities: tuple[Oddity, ...]


def decode(data: bytes, box: Box | None, options: ImageOptions) -> Decoded:
    """Decodes what is inside a box.

    Args:
        data: The whole file. Its content tells the format, not its name.
        box: In pixels of the source, upright if `options.exif`. None: all of the image.
        options: How.

    Raises:
        ImageError: The image cannot be decoded, or the box reaches past it.
        MemoryError: It does not fit in memory.
    """
    kind = format_of(data)
    plain = kind.decode_plain(data, box, options.max_pixels, to_box=options.fast_decode)
    if plain is not None:
        pixels, size = plain
        return _all_of(from_array(pixels, box or (0, 0, *size)), kind.name, size)
    kept: tuple[Oddity, ...] = ()
    try:
        source = open_image(data, options.max_pixels)
    except ImageError as error:
        whole = None
        if error.reason == "truncated" and options.lenient:
            whole = kind.completed(data, options.max_pixels)
        if whole is None:
            raise
        data, kept = whole, ("damaged_kept",)
        source = open_image(data, options.max_pixels)
    try:
        return _decode_opened(kind, source, data, box, options, kept)
    except (ImageError, MemoryError):
        raise
    except Exception as error:  # whatever the decoder stumbles over
        raise decode_error(source, error) from error


def _decode_opened(
    kind: ImageFormat,
    source: Image.Image,
    data: bytes,
    box: Box | None,
    options: ImageOptions,
    kept: tuple[Oddity, ...],
) -> Decoded:
    """Decodes what is inside a box of an image whose header was read; see `decode`."""
    size, scale = source.size, 1.0
    stored = box or _whole(source)
    # Only an upright image has the box where the decoder can see it.
    if (
        options.fast_decode
        and is_inside(stored, size)
        and not (options.exif and (orientation(source) > 1 or b"eXIf" in data))
    ):
        left, top, right, bottom = stored
        # As small as it may become for the crop to stay at least as large as the result.
        columns = -(-size[0] * options.size[0] // (right - left))
        rows = -(-size[1] * options.size[1] // (bottom - top))
        mode = "L" if options.channels == 1 else None
        source, data, scale = kind.decode_less(source, data, stored, (columns, rows), mode)
    loaded = kind.decode(source, data, full_size=size, lenient=options.lenient)
    oddities = (*kept, *_oddities(kind, source, data, loaded))
    turned = orientation(loaded.image)
    if loaded.image.size == size:
        scale = 1.0  # also where a repaired file was decoded anew
    image = loaded.image
    if loaded.pixels is not None:
        if scale == 1 and is_inside(stored, size) and (turned == 1 or not options.exif):
            # Cut out before Pillow takes it over, which copies.
            image = from_array(loaded.pixels, stored)
            return _all_of(image, kind.name, size, turned, oddities)
        image = Image.fromarray(loaded.pixels)
    if scale > 1:
        left, top, right, bottom = stored
        part = (left / scale, top / scale, right / scale, bottom / scale)
        shape = (right - left, bottom - top)
        content = _whole(image)
        return Decoded(to_rgb(image), part, shape, content, kind.name, size, turned, oddities)
    if options.exif:
        image = turn_upright(image, turned)
    cropped, content = _crop(image, box or _whole(image), options)
    return _all_of(cropped, kind.name, size, turned, oddities, content)


def _oddities(
    kind: ImageFormat, source: Image.Image, data: bytes, loaded: Loaded
) -> tuple[Oddity, ...]:
    """Returns what is odd about a file that was decoded."""
    found = loaded.oddities
    try:
        if kind.has_further_pages(source, data):
            found = ("further_pages", *found)
    except MemoryError:
        raise
    except Exception:  # whatever its parser stumbles over: the first page is fine
        pass
    if kind.has_sixteen_bits(source, data) and uses_few_bits(loaded.image):
        found = ("few_bits", *found)
    return found


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
    if is_inside(box, image.size):
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


def _all_of(
    image: Image.Image,
    source_format: str,
    source_size: tuple[int, int],
    turned: int = 1,
    oddities: tuple[Oddity, ...] = (),
    content: Box | None = None,
) -> Decoded:
    """Returns an image of which all is wanted; see `Decoded`."""
    whole, size = _whole(image), image.size
    return Decoded(
        to_rgb(image), whole, size, content or whole, source_format, source_size, turned, oddities
    )
