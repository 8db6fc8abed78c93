"""PNG files: checked chunk by chunk, cut to their first rows, decoded faster where they are plain.

Source of the structure: PNG specification, third edition, sections 5 and 11.
"""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image

from convert.errors import ImageError

try:
    import pyspng
except ImportError:  # where it has no wheel; Pillow makes the same pixels
    pyspng = None

DECODER_VERSION: str | None = pyspng and pyspng.__version__
"""Of the faster decoder; None where there is none."""

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"

_CHUNK = struct.Struct(">I4s").unpack_from  # length, type
_CRC = struct.Struct(">I").unpack_from
_IHDR = struct.Struct(">II5B")  # width, height, depth, colour, compression, filter, interlace
_IHDR_AT = len(PNG_SIGNATURE) + 8
_START = PNG_SIGNATURE + struct.pack(">I", _IHDR.size) + b"IHDR"
# Encoders put 8,192 bytes of pixels and more into a chunk; Pillow takes a moment for each of them.
_FREE_CHUNKS, _BYTES_PER_CHUNK = 100_000, 512
_MODES = {3: "RGB", 4: "RGBA"}
_CHANNELS = {0: 1, 2: 3, 6: 4}  # of the colour types without a palette: grey, RGB, RGBA
# Chunks that change no pixels and, but for a text, cannot hold an orientation.
_PLAIN_CHUNKS = frozenset(
    b"IHDR IDAT IEND PLTE gAMA cHRM sRGB iCCP sBIT bKGD pHYs tIME tEXt".split()
)
ORIENTED_TEXTS = (b"Raw profile type", b"XML:com.adobe.xmp", b"exif\0")  # which start so
# Pillow refuses a file with a shorter one, where libspng overlooks the chunk (its `chunk_*`).
_LEAST_BYTES = {b"gAMA": 4, b"sRGB": 1, b"pHYs": 9}

Pixels = np.ndarray[Any, np.dtype[np.uint8]]


def check_png(data: bytes) -> None:
    """Compares the CRC of every chunk up to IEND; Pillow skips those of the pixels.

    Args:
        data: A file that starts with `PNG_SIGNATURE`.

    Raises:
        ImageError: It ends too early, a CRC is wrong, or it has too many chunks.
    """
    view = memoryview(data)
    start = len(PNG_SIGNATURE)
    most = _FREE_CHUNKS + len(data) // _BYTES_PER_CHUNK
    for _ in range(most):
        if start + 8 > len(data):
            raise ImageError("truncated", f"the PNG ends after {len(data)} bytes, before its IEND")
        length, kind = _CHUNK(data, start)
        end = start + 8 + length
        if end + 4 > len(data):
            raise ImageError("truncated", f"the PNG ends after {len(data)} bytes, inside a chunk")
        if zlib.crc32(view[start + 4 : end]) != _CRC(data, end)[0]:
            name = kind.decode("ascii", "replace")
            raise ImageError("damaged", f"the CRC of PNG chunk {name!r} is wrong")
        if kind == b"IEND":
            return
        start = end + 4
    raise ImageError("too_large", f"a PNG of more than {most:,} chunks")


def png_rows(data: bytes, rows: int) -> bytes:
    """Returns a PNG that ends after its first rows, for a decoder that then stops there.

    Args:
        data: A PNG whose chunks were checked. Of other files, of interlaced and of animated PNGs
            all of it is returned.
        rows: Rows to keep.
    """
    if not data.startswith(PNG_SIGNATURE) or b"acTL" in data[:1024]:
        return data
    width, height, *rest, interlace = _IHDR.unpack_from(data, _IHDR_AT)
    if interlace or rows >= height:
        return data
    header = b"IHDR" + _IHDR.pack(width, rows, *rest, interlace)
    end = _IHDR_AT + _IHDR.size + 4
    return b"".join(
        (data[: _IHDR_AT - 4], header, struct.pack(">I", zlib.crc32(header)), data[end:])
    )


def plain_png(data: bytes, box: tuple[int, int, int, int]) -> Image.Image | None:
    """Decodes the part of a PNG inside a box, if a faster decoder than Pillow's can do it.

    libspng takes half of Pillow's time for the same pixels. It gets only images of 8 bits a
    channel without palette, transparent colour, interlacing or animation. What it refuses is left
    to Pillow, whose verdict counts. The one difference: it does not look at the checksum inside
    the compressed rows. That of each chunk around them has been compared before.

    Args:
        data: A file whose chunks were checked.
        box: Left, top, right, bottom; inside the image.

    Returns:
        An image of mode L, RGB or RGBA, or None if Pillow is to decode this one.
    """
    pixels = plain_pixels(data)
    if pixels is None:
        return None
    return image_of(pixels, box)


def image_of(pixels: Pixels, box: tuple[int, int, int, int]) -> Image.Image:
    """Returns the part of some pixels inside a box; `Image.fromarray` takes twice the time.

    Args:
        pixels: uint8, shape (height, width) or (height, width, channels).
        box: Left, top, right, bottom; inside them.
    """
    left, top, right, bottom = box
    mode = "L" if pixels.ndim == 2 else _MODES[pixels.shape[2]]
    content = pixels[top:bottom, left:right].tobytes()
    return Image.frombytes(mode, (right - left, bottom - top), content)


def png_size(data: bytes) -> tuple[int, int] | None:
    """Returns the width and height that a PNG's header names; None for any other file."""
    if not data.startswith(PNG_SIGNATURE) or len(data) < _IHDR_AT + _IHDR.size:
        return None
    width, height, *_ = _IHDR.unpack_from(data, _IHDR_AT)
    return width, height


def plain_size(data: bytes) -> tuple[int, int] | None:
    """Returns the width and height of a PNG whose header is of the kind that libspng gets."""
    if not data.startswith(_START) or len(data) < _IHDR_AT + _IHDR.size:
        return None
    width, height, depth, colour, *_, interlace = _IHDR.unpack_from(data, _IHDR_AT)
    return (width, height) if depth == 8 and colour in _CHANNELS and not interlace else None


def plain_pixels(data: bytes) -> Pixels | None:
    """Does what `plain_png` does for a whole image.

    Returns:
        uint8, shape (height, width) or (height, width, channels); or None.
    """
    if pyspng is None or not data.startswith(PNG_SIGNATURE):
        return None
    width, height, depth, colour, *_, interlace = _IHDR.unpack_from(data, _IHDR_AT)
    channels = _CHANNELS.get(colour)
    if depth != 8 or channels is None or interlace or not _is_plain(data):
        return None
    try:
        pixels: Pixels = pyspng.load(data)
    except Exception:  # whatever it does not like, Pillow may
        return None
    return pixels.reshape((height, width, channels) if channels > 1 else (height, width))


def _is_plain(data: bytes) -> bool:
    """Returns whether all chunks of a PNG are whole and can be ignored when it is decoded."""
    start = len(PNG_SIGNATURE)
    kind = b""
    while kind != b"IEND":  # there is one: the chunks were checked
        length, kind = _CHUNK(data, start)
        if kind not in _PLAIN_CHUNKS or data.startswith(ORIENTED_TEXTS, start + 8):
            return False
        if length < _LEAST_BYTES.get(kind, 0) or (kind == b"cHRM" and length % 4):
            return False
        if kind == b"iCCP" and not _has_method(data[start + 8 : start + 8 + length]):
            return False
        start += 12 + length
    return True


def _has_method(profile: bytes) -> bool:
    """Tells whether a colour profile's name is followed by the one method of compression."""
    return profile.partition(b"\0")[2].startswith(b"\0")
