"""Decodes PNGs of the usual kind by libspng, in half of Pillow's time for the same pixels."""

from __future__ import annotations

import struct

from convert.images.formats.image_format import Pixels
from convert.images.formats.png.chunks import CHUNK, IHDR, IHDR_AT, ORIENTED_TEXTS, PNG_SIGNATURE

try:
    import pyspng
except ImportError:  # where it has no wheel; Pillow makes the same pixels
    pyspng = None

DECODER_VERSION: str | None = pyspng and pyspng.__version__
"""Of the faster decoder; None where there is none."""

_START = PNG_SIGNATURE + struct.pack(">I", IHDR.size) + b"IHDR"
_CHANNELS = {0: 1, 2: 3, 6: 4}  # of the colour types without a palette: grey, RGB, RGBA
# Chunks that change no pixels and, but for a text, cannot hold an orientation.
_PLAIN_CHUNKS = frozenset(
    b"IHDR IDAT IEND PLTE gAMA cHRM sRGB iCCP sBIT bKGD pHYs tIME tEXt".split()
)
# Pillow refuses a file with a shorter one, where libspng overlooks the chunk (its `chunk_*`).
_LEAST_BYTES = {b"gAMA": 4, b"sRGB": 1, b"pHYs": 9}


def plain_size(data: bytes) -> tuple[int, int] | None:
    """Returns the width and height of a PNG whose header is of the kind that libspng gets."""
    if not data.startswith(_START) or len(data) < IHDR_AT + IHDR.size:
        return None
    width, height, depth, colour, *_, interlace = IHDR.unpack_from(data, IHDR_AT)
    return (width, height) if depth == 8 and colour in _CHANNELS and not interlace else None


def plain_pixels(data: bytes) -> Pixels | None:
    """Decodes a PNG, if libspng can do it.

    It gets only images of 8 bits a channel without palette, transparent colour, interlacing or
    animation. What it refuses is left to Pillow, whose verdict counts. The one difference: it does
    not look at the checksum inside the compressed rows. That of each chunk around them has been
    compared before.

    Args:
        data: A file whose chunks were checked.

    Returns:
        uint8, shape (height, width) or (height, width, channels); None if Pillow is to decode it.
    """
    if pyspng is None or plain_size(data) is None or not _is_plain(data):
        return None
    try:
        pixels: Pixels = pyspng.load(data)
    except Exception:  # whatever it does not like, Pillow may
        return None
    return pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels


def _is_plain(data: bytes) -> bool:
    """Returns whether all chunks of a PNG are whole and can be ignored when it is decoded."""
    start = len(PNG_SIGNATURE)
    kind = b""
    while kind != b"IEND":  # there is one: the chunks were checked
        length, kind = CHUNK(data, start)
        if kind not in _PLAIN_CHUNKS or data.startswith(ORIENTED_TEXTS, start + 8):
            return False
        if length < _LEAST_BYTES.get(kind, 0) or (kind == b"cHRM" and length % 4):
            return False
        profile = data[start + 8 : start + 8 + length] if kind == b"iCCP" else b"\0\0"
        if not profile.partition(b"\0")[2].startswith(b"\0"):  # its one method of compression
            return False
        start += 12 + length
    return True
