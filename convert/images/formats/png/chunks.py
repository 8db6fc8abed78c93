"""The chunks of a PNG: checked, cut to the first rows, completed, or without texts.

Source of the structure: PNG specification, third edition, sections 5 to 11.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from convert.errors import ImageError

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
IHDR = struct.Struct(">II5B")
"""Width, height, depth, colour, compression, filter, interlace."""
IHDR_AT = len(PNG_SIGNATURE) + 8
ORIENTED_TEXTS = (b"Raw profile type", b"XML:com.adobe.xmp", b"exif\0")
"""How texts begin that may hold an orientation."""

CHUNK = struct.Struct(">I4s").unpack_from  # length, type
_CRC = struct.Struct(">I").unpack_from
# Encoders put 8,192 bytes of pixels and more into a chunk; Pillow takes a moment for each of them.
_FREE_CHUNKS, _BYTES_PER_CHUNK = 100_000, 512
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of each colour type
# First column and row of each pass of an interlaced image, and the steps between them.
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2),
           (0, 1, 1, 2))  # fmt: skip
_WHOLE = ((0, 0, 1, 1),)
_PROFILE = b"iCCP"
_TEXTS = frozenset((b"tEXt", b"zTXt", b"iTXt", _PROFILE))
_TEXT_BYTES = 64 * 1024  # an orientation takes a few hundred
_PIECE_BYTES = 1 << 20
_OF_PIXELS = (b"IHDR", b"PLTE", b"tRNS")  # chunks besides these themselves


def check_chunks(data: bytes) -> None:
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
        length, kind = CHUNK(data, start)
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


def first_rows(data: bytes, rows: int) -> bytes:
    """Returns a PNG that ends after its first rows, for a decoder that then stops there.

    Args:
        data: A PNG whose chunks were checked. Of interlaced and of animated ones all is returned.
        rows: Rows to keep.
    """
    if b"acTL" in data[:1024]:
        return data
    width, height, *rest, interlace = IHDR.unpack_from(data, IHDR_AT)
    if interlace or rows >= height:
        return data
    header = framed(b"IHDR", IHDR.pack(width, rows, *rest, interlace))
    return data[: IHDR_AT - 8] + header + data[IHDR_AT + IHDR.size + 4 :]


def has_all_rows(data: bytes) -> bool:
    """Returns whether a PNG's compressed data hold all of its rows.

    Pillow makes missing ones black without a word where the compressed data end in order.

    Args:
        data: A PNG, its header perhaps changed to fewer rows.
    """
    num_bytes = _row_bytes(data)
    try:
        return sum(map(len, _inflated_rows(data, num_bytes))) >= num_bytes
    except zlib.error:
        return False


def with_all_rows(data: bytes, max_pixels: int) -> bytes | None:
    """Returns a PNG whose missing rows are there, as zeros; of the others only the pixels.

    Args:
        data: A PNG that ends too early, in its file or in its compressed data.
        max_pixels: Width times height above which nothing is done.

    Returns:
        None if not even a part of its rows can be read.
    """
    if len(data) < IHDR_AT + IHDR.size or data[IHDR_AT - 4 : IHDR_AT] != b"IHDR":
        return None
    width, height, *_ = IHDR.unpack_from(data, IHDR_AT)
    if width * height > max_pixels:
        return None
    num_bytes = _row_bytes(data)
    try:
        rows = b"".join(_inflated_rows(data, num_bytes, goes_on=False))
    except zlib.error:
        return None
    if not rows:
        return None
    kept = [(kind, data[start:stop]) for kind, start, stop in _chunks(data) if kind in _OF_PIXELS]
    kept += [(b"IDAT", zlib.compress(rows.ljust(num_bytes, b"\0"), 1)), (b"IEND", b"")]
    return PNG_SIGNATURE + b"".join(framed(kind, content) for kind, content in kept)


def _inflated_rows(data: bytes, num_bytes: int, *, goes_on: bool = True) -> Iterator[bytes]:
    """Yields the first bytes of the rows, inflated, in pieces.

    Args:
        data: A PNG.
        num_bytes: How many of them.
        goes_on: The last piece may hold more of them.

    Raises:
        zlib.error: They are damaged.
    """
    inflater = zlib.decompressobj()
    for kind, start, stop in _chunks(data):
        stream = data[start:stop] if kind == b"IDAT" else b""
        while stream and num_bytes > 0:
            piece = inflater.decompress(
                stream, _PIECE_BYTES if goes_on else min(_PIECE_BYTES, num_bytes)
            )
            yield piece
            num_bytes -= len(piece)
            stream = inflater.unconsumed_tail


def has_profiles(data: bytes) -> bool:
    """Returns whether a PNG has more than the one profile that it may; each takes its time."""
    return data.count(_PROFILE) > 1 and sum(kind == _PROFILE for kind, _, _ in _chunks(data)) > 1


def without_texts(data: bytes) -> bytes:
    """Returns a PNG without its texts and profile, but for short ones that may turn it."""
    parts = [PNG_SIGNATURE]
    for kind, start, stop in _chunks(data):
        is_kept = data.startswith(ORIENTED_TEXTS, start) and _is_short(kind, data[start:stop])
        if kind not in _TEXTS or is_kept:
            parts.append(data[start - 8 : stop + 4])
    return b"".join(parts)


def _is_short(kind: bytes, text: bytes) -> bool:
    """Returns whether a text takes little room, also when it is inflated.

    Args:
        kind: Type of its chunk.
        text: The chunk's content.
    """
    if len(text) > _TEXT_BYTES:
        return False
    _, _, stream = text.partition(b"\0")  # after its keyword
    if kind == b"zTXt":
        stream = stream[1:]
    elif kind == b"iTXt" and stream.startswith(b"\1"):
        stream = stream[2:].split(b"\0", 2)[-1]  # after two names of its language
    else:
        return True
    inflater = zlib.decompressobj()
    try:
        inflater.decompress(stream, _TEXT_BYTES)
    except zlib.error:
        return True  # Pillow passes over it
    return not inflater.unconsumed_tail


def _row_bytes(data: bytes) -> int:
    """Returns how many bytes all rows take, with the filter type that each begins with."""
    width, height, depth, colour, _, _, interlace = IHDR.unpack_from(data, IHDR_AT)
    bits = depth * _CHANNELS.get(colour, 1)
    total = 0
    for left, top, right, down in _PASSES if interlace else _WHOLE:
        columns, rows = -(-(width - left) // right), -(-(height - top) // down)
        if columns > 0 and rows > 0:
            total += rows * (1 + (columns * bits + 7) // 8)
    return total


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yields each chunk's type, and where its content starts and stops; the last may be cut."""
    start, kind = len(PNG_SIGNATURE), b""
    while start + 8 <= len(data) and kind != b"IEND":
        length, kind = CHUNK(data, start)
        yield kind, start + 8, min(start + 8 + length, len(data))
        start += 12 + length


def framed(kind: bytes, content: bytes) -> bytes:
    """Returns a chunk of some content."""
    checksum = zlib.crc32(kind + content)
    return b"".join((struct.pack(">I", len(content)), kind, content, struct.pack(">I", checksum)))
