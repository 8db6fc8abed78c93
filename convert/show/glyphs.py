"""Which characters a font file has glyphs for, read from its `cmap` table.

Pillow draws a box for a character that a font lacks and does not say so.

Source: OpenType specification, chapters "OpenType font file" and "cmap"; formats 4 and 12 are
those that fonts with Unicode characters have.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

Ints = np.ndarray[Any, np.dtype[Any]]

# (platform, encoding) pairs whose character codes are Unicode: all of platform 0, and Windows'.
_WINDOWS, _WINDOWS_ENCODINGS = 3, (1, 10)
_UNICODE = 0
_NONE = np.empty(0, np.int64)


class CharacterMap:
    """The characters of a font; of a collection, of its first font.

    Args:
        file: The font file, open for reading bytes.

    Raises:
        ValueError: It is no font, or a damaged one.
    """

    def __init__(self, file: BinaryIO) -> None:
        try:
            table = _read_cmap(file)
            subtables = [_ranges(table, start) for start in _unicode_subtables(table)]
        except (struct.error, IndexError) as error:
            raise ValueError("the font file is damaged") from error
        self._subtables = [subtable for subtable in subtables if subtable is not None]

    def __contains__(self, character: str) -> bool:
        """Returns whether the font has a glyph for one character."""
        code = ord(character)
        return any(subtable.glyph(code) for subtable in self._subtables)


@dataclass(frozen=True, slots=True, eq=False)
class _Ranges:
    """A subtable: runs of character codes, and where each finds its glyphs.

    Attributes:
        starts: First code of each run, ascending.
        ends: Last code of each run.
        deltas: What is added to a code, or to the glyph looked up for it; modulo 2**16.
        words: Glyphs that some runs look up.
        lookups: Where in `words` a run's first glyph stands; 0: the run looks up nothing.
    """

    starts: Ints
    ends: Ints
    deltas: Ints
    words: Ints
    lookups: Ints

    def glyph(self, code: int) -> int:
        """Returns a code's glyph; 0 is the box that stands for a missing one."""
        run = int(np.searchsorted(self.ends, code))
        if run == len(self.ends) or self.starts[run] > code:
            return 0
        glyph = code
        if self.lookups[run]:
            place = int(self.lookups[run] + code - self.starts[run])
            glyph = int(self.words[place]) if place < len(self.words) else 0
            if glyph == 0:
                return 0
        return int(glyph + self.deltas[run]) & 0xFFFF


def _read_cmap(file: BinaryIO) -> bytes:
    """Returns a font's `cmap` table."""
    kind = file.read(12)
    start = struct.unpack(">I", file.read(4))[0] if kind.startswith(b"ttcf") else 0
    file.seek(start)
    header = file.read(12)
    (num_tables,) = struct.unpack_from(">H", header, 4)
    for _ in range(num_tables):
        tag, _, offset, length = struct.unpack(">4sIII", file.read(16))
        if tag == b"cmap":
            file.seek(offset)
            return file.read(length)
    raise ValueError("the file is no font with a cmap table")


def _unicode_subtables(table: bytes) -> list[int]:
    """Returns where the subtables start whose codes are Unicode."""
    (count,) = struct.unpack_from(">H", table, 2)
    entries = [struct.unpack_from(">HHI", table, 4 + 8 * index) for index in range(count)]
    return [
        start
        for platform, encoding, start in entries
        if platform == _UNICODE or (platform == _WINDOWS and encoding in _WINDOWS_ENCODINGS)
    ]


def _ranges(table: bytes, start: int) -> _Ranges | None:
    """Reads one subtable; None if it is of another format."""
    (kind,) = struct.unpack_from(">H", table, start)
    if kind == 12:
        (count,) = struct.unpack_from(">I", table, start + 12)
        groups = _numbers(table[start + 16 :], ">u4")[: 3 * count].reshape(-1, 3)
        starts, ends, glyphs = groups.T
        return _Ranges(starts, ends, glyphs - starts, _NONE, np.zeros_like(starts))
    if kind != 4:
        return None
    # Its length field is not looked at: 16 bits are too few for some tables that exist.
    words = _numbers(table[start:], ">u2")
    count = int(words[3]) // 2
    firsts = (7, 8 + count, 8 + 2 * count, 8 + 3 * count)  # the ends are followed by a padding
    ends, starts, deltas, offsets = (words[first : first + count] for first in firsts)
    # An offset counts bytes from its own place.
    places = firsts[-1] + np.arange(count) + offsets // 2
    return _Ranges(starts, ends, deltas, words, np.where(offsets, places, 0))


def _numbers(data: bytes, kind: str) -> Ints:
    """Returns bytes as big-endian numbers, int64; what is left over at the end is dropped."""
    size = np.dtype(kind).itemsize
    return np.frombuffer(data[: len(data) // size * size], kind).astype(np.int64)
