"""Zeros written over the pixels of a JPEG, of which libjpeg says nothing.

Source of the structure: ITU-T T.81, annexes B and F.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from convert.images.jpeg.segments import EOI, SOS, header_segments, without_padding

_HUFFMAN = frozenset((0xC0, 0xC1))  # baseline and extended: each block comes as a whole
_PROCESSES = frozenset((0xC0, 0xC1, 0xC2, 0xC9, 0xCA))
_TABLES = 0xC4
_CODE_LENGTHS = 16
_AC = 0x10  # a bit of a table's number
_END_OF_BLOCK = 0
_END = bytes((EOI,))
# A marker that ends a scan: neither a value of 255, nor a fill byte, nor a restart.
_END_OF_SCAN = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")

# Zeros decode to the first symbol of each table. Where that is not the end of a block, so many of
# them are a block or more whose 63 values are all the same; no picture has one.
_ZEROS = bytes(32)


def is_zeroed(data: bytes) -> bool:
    """Returns whether a JPEG's compressed part has zeros that no picture could have there.

    Args:
        data: A JPEG that can be decoded without a warning.
    """
    if _ZEROS not in data:  # so nearly every file costs no more than this
        return False
    data = without_padding(data)
    return any(
        symbol != _END_OF_BLOCK and data.find(_ZEROS, start, stop) >= 0
        for symbol, start, stop in _scans(data)
    )


def _scans(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yields the first symbol of the first channel's AC table, the start and the end of each scan.

    Yields none of a JPEG whose blocks do not come as a whole.
    """
    first_symbols: dict[int, int] = {}
    start: int | None = 2
    while start is not None:
        segments, start = header_segments(data, start), None
        for marker, content, stop in segments:
            if marker in _PROCESSES and marker not in _HUFFMAN:
                return
            if marker == _TABLES:
                first_symbols |= _first_symbols(data[content:stop])
            elif marker == SOS:
                end = _END_OF_SCAN.search(data, stop)
                start = end.start() if end else len(data)
                table = _AC | data[content + 2] & 15
                yield first_symbols.get(table, _END_OF_BLOCK), stop, start
                if data[start + 1 : start + 2] in (b"", _END):  # what follows is no part of it
                    return


def _first_symbols(content: bytes) -> dict[int, int]:
    """Returns the first symbol of each Huffman table in a DHT segment."""
    found, start = {}, 0
    while start + 1 + _CODE_LENGTHS < len(content):
        symbols = start + 1 + _CODE_LENGTHS
        found[content[start]] = content[symbols]
        start = symbols + sum(content[start + 1 : symbols])
    return found
