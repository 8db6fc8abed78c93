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

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"

_CHUNK = struct.Struct(">I4s").unpack_from  # length, type
_CRC = struct.Struct(">I").unpack_from
_IHDR = struct.Struct(">II5B")  # width, height, depth, colour, compression, filter, interlace
_IHDR_AT = len(PNG_SIGNATURE) + 8
_CHANNELS = {0: 1, 2: 3, 6: 4}  # of the colour types without a palette: grey, RGB, RGBA
# Chunks that change no pixels and, but for a text, cannot hold an orientation.
_PLAIN_CHUNKS = frozenset(
    b"IHDR IDAT IEND PLTE gAMA cHRM sRGB iCCP sBIT bKGD pHYs tIME tEXt".split()
)
_ORIENTED_TEXTS = (b"Raw profile type", b"XML:com.adobe.xmp")  # whose keywords start so
_ZLIB_HEADER = b"\x78\x01"  # RFC 1950, section 2.2
_STORED = struct.Struct("<BHH")  # RFC 1951, section 3.2.4: is it the last, length, its complement
_MAX_STORED = 0xFFFF
_IEND = bytes(4) + b"IEND" + struct.pack(">I", zlib.crc32(b"IEND"))

Pixels = np.ndarray[Any, np.dtype[np.uint8]]


def check_png(data: bytes) -> None:
    """Compares the CRC of every chunk up to IEND; Pillow skips those of the pixels.

    Args:
        data: A file that starts with `PNG_SIGNATURE`.

    Raises:
        ImageError: It ends too early, or a CRC is wrong.
    """
    view = memoryview(data)
    start = len(PNG_SIGNATURE)
    while start + 8 <= len(data):
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
    raise ImageError("truncated", f"the PNG ends after {len(data)} bytes, before its IEND")


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

    Half of Pillow's time goes into undoing the filters of the rows, which libspng does five times
    as fast. It gets only images of 8 bits a channel without palette, transparent colour,
    interlacing or animation. Whatever is odd is left to Pillow, whose verdict counts.

    Args:
        data: A file whose chunks were checked.
        box: Left, top, right, bottom; inside the image.

    Returns:
        An image of mode L, RGB or RGBA, or None if Pillow is to decode this one.
    """
    if pyspng is None or not data.startswith(PNG_SIGNATURE):
        return None
    width, height, depth, colour, *_, interlace = _IHDR.unpack_from(data, _IHDR_AT)
    channels = _CHANNELS.get(colour)
    if depth != 8 or channels is None or interlace:
        return None
    try:
        pixels: Pixels = pyspng.load(_inflated(data, height * (1 + width * channels)))
        shape = (height, width, channels) if channels > 1 else (height, width)
        left, top, right, bottom = box
        return Image.fromarray(pixels.reshape(shape)[top:bottom, left:right])
    except Exception:  # whatever it does not like, Pillow may
        return None


def _inflated(data: bytes, num_bytes: int) -> bytes:
    """Returns a plain PNG with its rows uncompressed, as far as an own inflating can tell.

    libspng does not look at the checksum over all rows; zlib does, as it does in Pillow.

    Args:
        data: A file whose chunks were checked.
        num_bytes: Length of the rows with their filter types.

    Raises:
        ValueError: It has other chunks, or rows of another length.
        zlib.error: Its rows are damaged.
    """
    stream = _compressed_rows(data)
    inflate = zlib.decompressobj()
    rows = inflate.decompress(stream, num_bytes + 1)
    if len(rows) != num_bytes or not inflate.eof:
        raise ValueError("rows of another length")
    pieces = [b"IDAT", _ZLIB_HEADER]
    for start in range(0, num_bytes, _MAX_STORED):
        block = rows[start : start + _MAX_STORED]
        is_last = start + _MAX_STORED >= num_bytes
        pieces += [_STORED.pack(is_last, len(block), len(block) ^ 0xFFFF), block]
    checksum = len(stream) - len(inflate.unused_data)
    content = b"".join((*pieces, stream[checksum - 4 : checksum]))
    header = data[: _IHDR_AT + _IHDR.size + 4]
    length = struct.pack(">I", len(content) - 4)
    return b"".join((header, length, content, struct.pack(">I", zlib.crc32(content)), _IEND))


def _compressed_rows(data: bytes) -> bytes:
    """Returns what a plain PNG's IDAT chunks hold.

    Raises:
        ValueError: It has chunks without which the pixels cannot be had.
    """
    pieces = []
    start = len(PNG_SIGNATURE)
    kind = b""
    while kind != b"IEND":
        length, kind = _CHUNK(data, start)
        if kind not in _PLAIN_CHUNKS or data.startswith(_ORIENTED_TEXTS, start + 8):
            raise ValueError("more than plain pixels")
        if kind == b"IDAT":
            pieces.append(data[start + 8 : start + 8 + length])
        start += 12 + length
    return b"".join(pieces)
