"""Decodes JPEG files with a decoder that is faster than Pillow's and reports damage.

Pillow drops libjpeg's warnings, which are all that libjpeg says of a hole in the pixels.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
import simplejpeg
from PIL import JpegImagePlugin, features

from convert.errors import ImageError, Reason
from convert.images.jpeg.kinds import require_known
from convert.images.jpeg.scans import NUM_SCAN_MARKERS, count_scans
from convert.images.jpeg.segments import (
    Header,
    lacks_scans,
    read_header,
    with_end_marker,
    with_plain_header,
    without_padding,
)
from convert.images.jpeg.zeros import is_zeroed
from convert.images.oddities import Oddity

JPEG_DECODER_VERSION: str = simplejpeg.__version__

Colours = Literal["GRAY", "RGB", "CMYK"]
Pixels = np.ndarray[Any, np.dtype[np.uint8]]

_COLOURS: dict[str, Colours] = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}  # of Pillow's modes
_CHANNELS: dict[Colours, int] = {"GRAY": 1, "RGB": 3, "CMYK": 4}
_COLOURS_BY_CHANNELS = {channels: colours for colours, channels in _CHANNELS.items()}
# The same code as that of the judge, so its pixels are the same. Other libjpegs round otherwise.
_IS_TURBO = features.check_feature("libjpeg_turbo")

# SOF0, its length, 8 bits; then SOS, whose fifth byte is the number of channels.
_BASELINE_RGB, _BASELINE_GREY, _SCAN = b"\xff\xc0\0\x11\x08", b"\xff\xc0\0\x0b\x08", b"\xff\xda"
_SMALL = 64  # pixels; below, two scales may give one size

_MOST_STRIP_SCANS = 101  # from so many on libtiff decodes none of it

_EOI = b"\xff\xd9"
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


class Decoded(NamedTuple):
    """A JPEG that was judged.

    Attributes:
        pixels: uint8, shape (height, width) or (height, width, channels). None: Pillow is to
            decode `data`.
        data: The file, repaired where that was called for.
        oddities: What is odd about it.
    """

    pixels: Pixels | None
    data: bytes
    oddities: tuple[Oddity, ...]


def decode_jpeg(
    source: JpegImagePlugin.JpegImageFile,
    data: bytes,
    *,
    full_size: tuple[int, int],
    lenient: bool,
) -> Decoded | None:
    """Decodes a JPEG and judges it.

    Args:
        source: Its header, as `open_image` read it; a reduced scale may have been set by `draft`.
        data: The whole file.
        full_size: (width, height) without that.
        lenient: Keep a damaged file, as far as it can be decoded.

    Returns:
        None if the file is none for this decoder.

    Raises:
        ImageError: It is damaged, ends too early, or is of a kind that cannot be decoded here.
    """
    colours = _COLOURS.get(source.mode)
    if colours is None:
        return None
    header = None if _is_usual(source, data) else read_header(data)
    if header is not None:
        require_known(header)
    # A decoder that was asked for the size of a small picture would take a yet smaller scale.
    is_reduced = source.size != full_size
    decoder = _Decoder(colours, source.size if is_reduced else (0, 0))
    pixels, file, oddities = _judge(decoder, data, header, source.size if lenient else None)
    if colours == "CMYK" and "adobe" not in source.info:
        oddities = (*oddities, "cmyk_unmarked")
    is_ambiguous = is_reduced and max(full_size) < _SMALL
    # Pillow inverts CMYK.
    if colours == "CMYK" or not _IS_TURBO or is_ambiguous or _size(pixels) != source.size:
        pixels = None
    return Decoded(pixels, file, oddities)


def _is_usual(source: JpegImagePlugin.JpegImageFile, data: bytes) -> bool:
    """Returns whether a JPEG is baseline, all channels in one scan: its header has no more to say.

    A look for a few bytes takes a tenth of the time that reading the header takes.
    """
    if _BASELINE_RGB not in data and _BASELINE_GREY not in data:
        return False
    if source.info.get(NUM_SCAN_MARKERS) != 1:
        return False
    return data[data.find(_SCAN) + 4] == source.layers


def _size(pixels: Pixels | None) -> tuple[int, ...]:
    return () if pixels is None else pixels.shape[1::-1]


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
    decoder = _Decoder(colours, (0, 0))
    is_odd = isinstance(decoder.decode(data), str)
    return is_zeroed(data) or (is_odd and isinstance(_repaired(decoder, data)[0], str))


class _Decoder:
    """Decodes files to one size and kind of colours.

    Args:
        colours: Of the pixels.
        size: (width, height) to decode to at a reduced scale. (0, 0): that of the file.
    """

    def __init__(self, colours: Colours, size: tuple[int, int]) -> None:
        self._colours = colours
        self._width, self._height = size

    def decode(self, data: bytes) -> Pixels | str:
        """Returns the pixels of a file, or libjpeg's complaint."""
        return self._decode(data, strict=True, buffer=None)

    def decode_part(self, data: bytes, size: tuple[int, int]) -> Pixels | str:
        """Returns the pixels of a damaged file, black where nothing could be decoded.

        Args:
            data: The file.
            size: (width, height) of what comes of it.
        """
        width, height = size
        # Where it gives up, libjpeg would leave what was in memory.
        buffer = np.zeros((height, width, _CHANNELS[self._colours]), np.uint8)
        return self._decode(data, strict=False, buffer=buffer)

    def _decode(self, data: bytes, *, strict: bool, buffer: Pixels | None) -> Pixels | str:
        try:
            pixels: Pixels = simplejpeg.decode_jpeg(
                data,
                self._colours,
                min_height=self._height,
                min_width=self._width,
                buffer=buffer,
                strict=strict,
            )
        except ValueError as error:
            return str(error)
        return pixels[..., 0] if pixels.shape[2] == 1 else pixels


def _judge(
    decoder: _Decoder, data: bytes, header: Header | None, kept_size: tuple[int, int] | None
) -> Decoded:
    """Decodes a file; if libjpeg complains, decides whether the file is damaged.

    Args:
        decoder: Decodes it.
        data: The file.
        header: What it says of its pixels. None: nothing unusual.
        kept_size: (width, height) of the pixels to keep of a damaged file. None: keep none.
    """
    file = data
    oddities: tuple[Oddity, ...] = ()
    pixels = decoder.decode(data)
    if isinstance(pixels, str):
        pixels, file, oddities = _repaired(decoder, data)
    if isinstance(pixels, str):
        error = _error(pixels, is_cut="no_end_marker" in oddities)
        if kept_size is None:
            raise error
        pixels = decoder.decode_part(file, kept_size)
        if isinstance(pixels, str) or not pixels.any():  # nothing could be decoded
            raise error
        return Decoded(pixels, file, ("damaged_kept",))
    is_left_over = _ends_in_a_hole(decoder, file)
    if is_left_over or is_zeroed(file):
        if kept_size is None:
            raise ImageError("damaged", _WHAT[_LEFT_OVER] if is_left_over else _ZEROED)
        return Decoded(pixels, file, ("damaged_kept",))
    if header is not None and file is not data:
        header = read_header(file)
    if header is not None and lacks_scans(file, header):
        if kept_size is None:
            reason: Reason = "truncated" if oddities else "damaged"
            raise ImageError(reason, "the JPEG ends before its last scan")
        oddities = ("damaged_kept",)
    return Decoded(pixels, file, oddities)


def _repaired(decoder: _Decoder, data: bytes) -> tuple[Pixels | str, bytes, tuple[Oddity, ...]]:
    """Decodes a file without the parts that may be wrong but hold no pixels.

    Returns:
        The pixels, or what libjpeg says against them; the file they are of; what was odd.
    """
    file = with_plain_header(data)
    oddities: tuple[Oddity, ...] = ()
    found = decoder.decode(file)
    if isinstance(found, str) and found == _NO_END:
        file, oddities = with_end_marker(file), ("no_end_marker",)
        found = decoder.decode(file)
    if isinstance(found, str) and _LEFT_OVER in found:
        shorter = without_padding(file)
        again = decoder.decode(shorter)
        if not isinstance(again, str):
            return again, shorter, oddities
    return found, file, oddities


def _ends_in_a_hole(decoder: _Decoder, file: bytes) -> bool:
    """Returns whether some of the zeros at the end of the last scan were decoded, and some left.

    libjpeg says nothing of the last few bytes left over. Zeros that no row needs are padding, and
    a scan may end with zeros that its rows need; but then none is left over.
    """
    if not file.endswith(b"\0\0\xff\xd9") or isinstance(decoder.decode(file[:-3] + _EOI), str):
        return False
    return isinstance(decoder.decode(without_padding(file)), str)


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
