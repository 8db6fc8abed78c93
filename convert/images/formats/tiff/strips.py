"""The strips and tiles of a TIFF: whether all of its rows are there, before any is decoded.

Source of the tags: TIFF 6.0, sections 8 and 15.
"""

from __future__ import annotations

import zlib
from typing import Any, NamedTuple

from PIL import TiffImagePlugin

from convert.errors import ImageError, Reason
from convert.images.formats.jpeg.decoder import has_warnings
from convert.images.formats.tags import Compression, Tag
from convert.images.formats.tiff.fax import FAX, has_damaged_fax

_NO_PACKET = 128  # of PackBits
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_YCBCR = 6  # its chroma may be stored at a lower resolution
_SLACK_BYTES = 4096  # that a stream may hold beyond its rows
_PIXEL_BYTES = 16  # of the largest: four channels of 32 bits
_JPEG_ROUNDING = 16  # pixels by which a strip's JPEG may be larger


class _Part(NamedTuple):
    """A strip or tile.

    Attributes:
        offset: Where it starts in the file.
        stored: Bytes that it takes there, as the file says; None if it does not say.
        needed: Bytes that its rows take uncompressed; None if that is not known.
        height: Its rows.
        width: Its columns.
    """

    offset: int
    stored: int | None
    needed: int | None
    height: int
    width: int


def find_flaw(image: TiffImagePlugin.TiffImageFile, data: bytes) -> Reason | None:
    """Looks for strips or tiles that lack rows, or are damaged in a way that Pillow passes over.

    Decoders make such rows black, or leave what was in memory before.

    Args:
        image: Its header, as Pillow read it.
        data: The whole file.

    Returns:
        "truncated", "damaged", or None.

    Raises:
        ImageError: They name the same bytes again and again.
    """
    tags: Any = image.tag_v2
    compression = tags.get(Tag.COMPRESSION, Compression.NONE)
    parts = _parts(tags)
    _require_apart(parts or [], data, image.width * image.height)
    if parts is None:
        return "truncated"
    # Some writers fill up the last strip, of which the image has fewer rows.
    slack = _SLACK_BYTES + max(part.needed or 0 for part in parts)
    if any(_is_short(part, compression, data, slack) for part in parts):
        return "truncated"
    return "damaged" if _is_damaged(parts, tags, compression, data) else None


def _is_damaged(parts: list[_Part], tags: Any, compression: int, data: bytes) -> bool:
    if compression in FAX:
        width = _number(tags.get(Tag.WIDTH, 0))
        return has_damaged_fax(data, compression, width, [part.height for part in parts])
    streams = (data[part.offset : part.offset + (part.stored or 0)] for part in parts)
    if compression == Compression.JPEG:
        tables = tags.get(Tag.JPEG_TABLES, b"")
        rows = max(part.height for part in parts)
        most = (parts[0].width + _JPEG_ROUNDING) * (rows + _JPEG_ROUNDING)
        return any(has_warnings(_joined(tables, stream), most) for stream in streams)
    if compression == Compression.PACKBITS:
        is_reversed = tags.get(Tag.FILL_ORDER, 1) == 2
        return not all(
            _unpacks_to(stream.translate(_REVERSED) if is_reversed else stream, part.needed)
            for part, stream in zip(parts, streams, strict=True)
            if part.needed
        )
    return False


def _require_apart(parts: list[_Part], data: bytes, num_pixels: int) -> None:
    """Refuses parts that share so many bytes that each would be decoded for ever.

    Some writers store what is all blank once; that takes less than uncompressed pixels do.
    """
    # Decoders read no further than the file goes, whatever it says.
    stored = sum(min(part.stored or 0, max(0, len(data) - part.offset)) for part in parts)
    if stored > max(len(data), _PIXEL_BYTES * num_pixels):
        raise ImageError(
            "too_large", f"strips or tiles of {stored:,} bytes in a file of {len(data):,}"
        )


def _joined(tables: bytes, stream: bytes) -> bytes:
    """Returns a JPEG whose tables stand apart as one file; TIFF technical note 2."""
    return tables[:-2] + stream[2:] if tables else stream


def _is_short(part: _Part, compression: int, data: bytes, slack: int) -> bool:
    if not 0 < part.offset < len(data):
        return True  # at 0 stands the header
    if compression != Compression.NONE and part.offset + (part.stored or 0) > len(data):
        return True
    if part.needed is None or not part.stored:  # some writers leave the count at 0
        return False
    if compression == Compression.NONE:
        return part.stored < part.needed
    if compression in (Compression.DEFLATE, Compression.OLD_DEFLATE):
        return not _holds(data[part.offset : part.offset + part.stored], part.needed, slack)
    return False  # libtiff tells


def _unpacks_to(stream: bytes, needed: int) -> bool:
    """Returns whether a PackBits stream holds so many bytes and no more; TIFF 6.0, section 9."""
    at = size = 0
    if len(stream) > 2 * needed + _SLACK_BYTES:  # twice is what the worst encoder makes of them
        return False
    while at < len(stream) and size < needed:
        code = stream[at]
        size += code + 1 if code < _NO_PACKET else (257 - code) * (code > _NO_PACKET)
        at += code + 2 if code < _NO_PACKET else 1 + (code > _NO_PACKET)
    return size == needed and at <= len(stream) and not stream[at:].strip(b"\0\x80")


def _holds(stream: bytes, needed: int, slack: int) -> bool:
    """Returns whether a zlib stream holds so many bytes, and its checksum is right or not there.

    Args:
        stream: A strip or tile.
        needed: Bytes that its rows take.
        slack: Bytes that it may hold beyond them.
    """
    inflater = zlib.decompressobj()
    try:
        while stream and needed >= 0:
            needed -= len(inflater.decompress(stream, needed + slack))
            stream = inflater.unconsumed_tail
    except zlib.error:
        return False
    # What goes on beyond its rows without an end has lost its way.
    return needed == 0 or (needed < 0 and inflater.eof)


def _parts(tags: Any) -> list[_Part] | None:
    """Returns all strips or tiles that a file should have; None if it lists fewer."""
    width, height = _number(tags.get(Tag.WIDTH, 0)), _number(tags.get(Tag.HEIGHT, 0))
    is_tiled = Tag.TILE_OFFSETS in tags
    across, down = width, min(_number(tags.get(Tag.STRIP_ROWS, height)) or height, height)
    if is_tiled:
        across, down = _number(tags.get(Tag.TILE_WIDTH, 0)), _number(tags.get(Tag.TILE_HEIGHT, 0))
    if across < 1 or down < 1:
        return None
    samples = _number(tags.get(Tag.SAMPLES, 1))
    planes = samples if tags.get(Tag.PLANAR, 1) == 2 else 1
    row_bytes = (across * _pixel_bits(tags, samples // planes) + 7) // 8
    columns, rows = -(-width // across), -(-height // down)
    heights = [down if is_tiled else min(down, height - row * down) for row in range(rows)]
    offsets = tags.get(Tag.TILE_OFFSETS if is_tiled else Tag.STRIP_OFFSETS, ())
    counts = tags.get(Tag.TILE_COUNTS if is_tiled else Tag.STRIP_COUNTS, ())
    if len(offsets) < columns * rows * planes:
        return None
    is_known = tags.get(Tag.PHOTOMETRIC) != _YCBCR
    return [
        _Part(
            offset=offsets[number],
            stored=counts[number] if number < len(counts) else None,
            needed=heights[number // columns % rows] * row_bytes if is_known else None,
            height=heights[number // columns % rows],
            width=across,
        )
        for number in range(columns * rows * planes)
    ]


def _pixel_bits(tags: Any, samples: int) -> int:
    bits = tags.get(Tag.BITS, (1,))
    return sum(bits) if len(bits) == samples else bits[0] * samples


def _number(value: Any) -> int:
    """Returns a tag's value, or the first of several."""
    return int(value[0] if isinstance(value, tuple) else value)
