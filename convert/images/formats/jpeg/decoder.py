"""Decodes JPEG files with a decoder that is faster than Pillow's and reports damage.

Pillow drops libjpeg's warnings, which are all that libjpeg says of a hole in the pixels.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import simplejpeg

from convert.errors import ImageError, Reason
from convert.images.formats.image_format import Pixels
from convert.images.formats.jpeg.scans import count_scans
from convert.images.formats.jpeg.segments import (
    END,
    Header,
    lacks_scans,
    read_header,
    with_end_marker,
    with_plain_header,
    without_padding,
)
from convert.images.formats.jpeg.zeros import is_zeroed
from convert.images.oddities import Oddity

JPEG_DECODER_VERSION: str = simplejpeg.__version__

COLOURS: dict[str, Literal["GRAY", "RGB", "CMYK"]] = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}
"""Of Pillow's modes -> what the decoder calls them."""

_CHANNELS = {"GRAY": 1, "RGB": 3, "CMYK": 4}
_COLOURS_BY_CHANNELS = {channels: colours for colours, channels in _CHANNELS.items()}

_MOST_STRIP_SCANS = 101  # from so many on libtiff decodes none of it

_NO_END = "Premature end of JPEG file"
_LEFT_OVER = "extraneous bytes before marker"
_WHAT = {
    _LEFT_OVER: "the JPEG: bytes are left over where a scan should end",
    "premature end of data segment": "the JPEG: its data end before its last row",
    "bad Huffman code": "the JPEG: its data hold codes that do not exist",
    "bad arithmetic code": "the JPEG: its data hold codes that do not exist",
    "instead of RST": "the JPEG: its restart markers are out of order",
    "Inconsistent progression": "the JPEG: its scans contradict each other",
}
"""A part of libjpeg's warning -> what it means."""
_ZEROED = "the JPEG: zeros stand where its pixels should be"


class Wanted(NamedTuple):
    """A value of `COLOURS`, and (width, height) at a reduced scale; (0, 0): that of the file."""

    colours: str
    size: tuple[int, int] = (0, 0)


def has_warnings(data: bytes, most_pixels: int) -> bool:
    """Returns whether a JPEG is damaged, or cannot be decoded without a warning of its pixels.

    Args:
        data: A strip or tile of a TIFF.
        most_pixels: That it may have.
    """
    header = read_header(data)
    colours = None if header is None else _COLOURS_BY_CHANNELS.get(len(header.channels))
    if header is None or colours is None:
        return False
    is_larger = header.size[0] * header.size[1] > most_pixels
    if is_larger or count_scans(data, _MOST_STRIP_SCANS) == _MOST_STRIP_SCANS:
        return True
    wanted = Wanted(colours)
    is_odd = isinstance(_decode(data, wanted), str)
    return is_zeroed(data) or (is_odd and isinstance(_repaired(wanted, data)[0], str))


def _decode(data: bytes, wanted: Wanted, kept_size: tuple[int, int] | None = None) -> Pixels | str:
    """Returns the pixels of a file, or libjpeg's complaint.

    Args:
        data: The file.
        wanted: How it is decoded.
        kept_size: (width, height) of what comes of a damaged file, black where nothing could be
            decoded. None: none is kept.
    """
    buffer = None
    if kept_size is not None:  # where it gives up, libjpeg would leave what was in memory
        buffer = np.zeros((*kept_size[::-1], _CHANNELS[wanted.colours]), np.uint8)
    min_width, min_height = wanted.size
    try:
        pixels: Pixels = simplejpeg.decode_jpeg(
            data,
            wanted.colours,
            min_height=min_height,
            min_width=min_width,
            buffer=buffer,
            strict=buffer is None,
        )
    except ValueError as error:
        return str(error)
    return pixels[..., 0] if pixels.shape[2] == 1 else pixels


def judge(
    wanted: Wanted, data: bytes, header: Header | None, kept_size: tuple[int, int] | None
) -> tuple[Pixels, bytes, tuple[Oddity, ...]]:
    """Decodes a file; if libjpeg complains, decides whether the file is damaged.

    Args:
        wanted: How it is decoded.
        data: The file.
        header: What it says of its pixels. None: nothing unusual.
        kept_size: (width, height) of the pixels to keep of a damaged file. None: keep none.

    Returns:
        Its pixels; the file, repaired where that was called for; what is odd about it.

    Raises:
        ImageError: It is damaged, or ends too early.
    """
    file = data
    oddities: tuple[Oddity, ...] = ()
    pixels = _decode(data, wanted)
    if isinstance(pixels, str):
        pixels, file, oddities = _repaired(wanted, data)
    if isinstance(pixels, str):
        error = _error(pixels, is_cut="no_end_marker" in oddities)
        if kept_size is None:
            raise error
        pixels = _decode(file, wanted, kept_size)
        if isinstance(pixels, str) or not pixels.any():  # nothing could be decoded
            raise error
        return pixels, file, ("damaged_kept",)
    is_left_over = _ends_in_a_hole(wanted, file)
    if is_left_over or is_zeroed(file):
        if kept_size is None:
            raise ImageError("damaged", _WHAT[_LEFT_OVER] if is_left_over else _ZEROED)
        return pixels, file, ("damaged_kept",)
    if header is not None and file is not data:
        header = read_header(file)
    if header is not None and lacks_scans(file, header):
        if kept_size is None:
            reason: Reason = "truncated" if oddities else "damaged"
            raise ImageError(reason, "the JPEG ends before its last scan")
        oddities = ("damaged_kept",)
    return pixels, file, oddities


def _repaired(wanted: Wanted, data: bytes) -> tuple[Pixels | str, bytes, tuple[Oddity, ...]]:
    """Decodes a file without the parts that may be wrong but hold no pixels.

    Returns:
        The pixels, or what libjpeg says against them; the file they are of; what was odd.
    """
    file = with_plain_header(data)
    oddities: tuple[Oddity, ...] = ()
    found = _decode(file, wanted)
    if isinstance(found, str) and found == _NO_END:
        file, oddities = with_end_marker(file), ("no_end_marker",)
        found = _decode(file, wanted)
    if isinstance(found, str) and _LEFT_OVER in found:
        shorter = without_padding(file)
        again = _decode(shorter, wanted)
        if not isinstance(again, str):
            return again, shorter, oddities
    return found, file, oddities


def _ends_in_a_hole(wanted: Wanted, file: bytes) -> bool:
    """Returns whether some of the zeros at the end of the last scan were decoded, and some left.

    libjpeg says nothing of the last few bytes left over. Zeros that no row needs are padding, and
    a scan may end with zeros that its rows need; but then none is left over.
    """
    ends_in_zeros = file.endswith(b"\0\0" + END)
    if not ends_in_zeros or isinstance(_decode(file[:-3] + END, wanted), str):
        return False
    return isinstance(_decode(without_padding(file), wanted), str)


def _error(text: str, *, is_cut: bool) -> ImageError:
    """Rewrites libjpeg's complaint about a file in our own words.

    Args:
        text: libjpeg's.
        is_cut: Whether the end marker is missing too.
    """
    if is_cut:
        return ImageError("truncated", "the JPEG ends before its last row")
    if "arithmetic coding" in text:
        return ImageError(
            "unsupported_here",
            "a JPEG with arithmetic coding, which the JPEG decoders here cannot read",
        )
    what = next((what for part, what in _WHAT.items() if part in text), None)
    return ImageError("damaged", what or "the JPEG's pixels cannot be decoded")
