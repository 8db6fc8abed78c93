"""Zeros written over the pixels of a JPEG, of which libjpeg says nothing.

Source of the structure: ITU-T T.81, annexes B and F.
"""

from __future__ import annotations

from collections.abc import Iterator

from convert.images.formats.jpeg.segments import Marker, scans, without_padding

# The blocks of these do not come as a whole.
_OTHER_PROCESSES = frozenset(Marker.SOF + process for process in (2, 9, 10))
_CODE_LENGTHS = 16
_AC = 0x10  # a bit of a table's number
_END_OF_BLOCK = 0

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
    for segments, end in scans(data):
        for marker, content, stop in segments:
            if marker in _OTHER_PROCESSES:
                return
            if marker == Marker.DHT:
                first_symbols |= _first_symbols(data[content:stop])
            elif marker == Marker.SOS:
                table = _AC | data[content + 2] & 15
                yield first_symbols.get(table, _END_OF_BLOCK), stop, end
        if not segments or segments[-1].marker != Marker.SOS:
            return  # there may be millions of segments that belong to no scan


def _first_symbols(content: bytes) -> dict[int, int]:
    """Returns the first symbol of each Huffman table in a DHT segment."""
    found, start = {}, 0
    while start + 1 + _CODE_LENGTHS < len(content):
        symbols = start + 1 + _CODE_LENGTHS
        found[content[start]] = content[symbols]
        start = symbols + sum(content[start + 1 : symbols])
    return found
