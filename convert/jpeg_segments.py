"""The segments of a JPEG file: its coding process, and repairs that leave its pixels alone.

Source of the structure: ITU-T T.81, annex B; T.871 (JFIF) for APP0 and T.872, 6.5.3 for APP14.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import NamedTuple

JPEG_SIGNATURE = b"\xff\xd8\xff"

_APP0, _APP14, _COMMENT = 0xE0, 0xEE, 0xFE
_SOI, _EOI, _SOS = b"\xff\xd8", b"\xff\xd9", 0xDA
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7}  # SOFn; 0xF7 is JPEG-LS
_FRAME_HEADER = 6  # precision, height, width, number of components; then 3 bytes for each
_COEFFICIENTS = 64
_SCAN_HEADER = re.compile(rb"\xff\xda")
# A run of nothing but zeros and fill bytes, up to a marker that may follow compressed data.
_PADDING = re.compile(rb"[\x00\xff]+(?=\xff[\xc4\xd0-\xd7\xd9\xda])")


_MARKER = struct.Struct(">BBH").unpack_from  # 0xFF, marker, length
_FRAME = struct.Struct(">BHHB").unpack_from  # precision, height, width, number of components


class Segment(NamedTuple):
    """A marker and what belongs to it.

    Attributes:
        marker: Its second byte.
        start: Where its content starts in the file.
        stop: Where it ends.
    """

    marker: int
    start: int
    stop: int


class Header(NamedTuple):
    """What a JPEG says of its pixels.

    Attributes:
        process: Second byte of its SOF marker.
        precision: Bits of a value.
        size: (width, height) in pixels; height 0 where only a later DNL marker tells.
        channels: Identifiers of its channels.
        has_adobe: Whether an APP14 segment says how the colours are meant.
        scan: Where the first scan's header stands. 0: there is none.
        scan_channels: How many channels that scan has.
    """

    process: int
    precision: int
    size: tuple[int, int]
    channels: bytes
    has_adobe: bool
    scan: int
    scan_channels: int

    @property
    def is_progressive(self) -> bool:
        """Whether coefficients come in several scans, coarse ones first."""
        return self.process in (0xC2, 0xCA)


def header_segments(data: bytes, start: int = 2) -> Iterator[Segment]:
    """Yields the segments up to the next scan's, with zeros and fill bytes between them skipped.

    Ends early where something else stands between them, or the file ends.

    Args:
        data: The file.
        start: Where the first of them begins.
    """
    end, marker = len(data) - 4, 0
    while start <= end and marker != _SOS:
        first, marker, length = _MARKER(data, start)
        if first == 0 or marker == first == 0xFF:
            start += 1
            marker = 0
        elif first != 0xFF or length < 2:
            return
        else:
            yield Segment(marker, start + 4, start + 2 + length)
            start += 2 + length


def read_header(data: bytes) -> Header | None:
    """Reads the header of a JPEG; None if the file ends before it is complete."""
    frame = b""
    process = scan = scan_channels = 0
    has_adobe = False
    for marker, start, stop in header_segments(data):
        if marker == _SOS and stop <= len(data):
            scan, scan_channels = start - 4, data[start]
        elif marker in _FRAMES:
            process, frame = marker, data[start:stop]
        elif marker == _APP14:
            has_adobe |= data.startswith(b"Adobe", start)
    if len(frame) < _FRAME_HEADER or len(frame) < _FRAME_HEADER + 3 * frame[5]:
        return None
    precision, height, width, _ = _FRAME(frame)
    channels = frame[_FRAME_HEADER : _FRAME_HEADER + 3 * frame[5] : 3]
    return Header(process, precision, (width, height), channels, has_adobe, scan, scan_channels)


def with_plain_header(data: bytes) -> bytes:
    """Returns a JPEG without what a decoder may warn about and that says nothing of its pixels.

    Comments, profiles, EXIF and padding go. A JFIF version and an Adobe transform that nobody
    knows become those that libjpeg takes for them.
    """
    parts = [_SOI]
    header = read_header(data)
    for segment in header_segments(data):
        content = bytearray(data[segment.start - 2 : segment.stop])
        if segment.marker == _APP0:
            if content[2:7] != b"JFIF\0" or len(content) < 9:
                continue
            content[7:9] = b"\x01\x01"
        elif segment.marker == _APP14:
            if content[2:7] != b"Adobe" or len(content) < 14:
                continue
            if content[13] > 2:
                content[13] = 2 if header is not None and len(header.channels) == 4 else 1
        elif _APP0 <= segment.marker <= 0xEF or segment.marker == _COMMENT:
            continue
        parts += [bytes((0xFF, segment.marker)), bytes(content)]
        if segment.marker == _SOS:
            return b"".join((*parts, data[segment.stop :]))
    return data  # no scan was found: a decoder may say so


def with_end_marker(data: bytes) -> bytes:
    """Returns a JPEG that lacks its end marker, or half of it, with one."""
    return data.rstrip(b"\xff") + _EOI


def without_padding(data: bytes) -> bytes:
    """Returns a JPEG without the zeros and fill bytes before markers of its compressed part.

    What looks like padding may be a hole that was decoded as if it were data: only a file that is
    whole without these bytes had padding.
    """
    start = next((s.stop for s in header_segments(data) if s.marker == _SOS), len(data))

    def shorter(match: re.Match[bytes]) -> bytes:
        return b"\xff\x00" if match[0].startswith(b"\xff\x00") else b""  # a value of 255

    return data[:start] + _PADDING.sub(shorter, data[start:])


def lacks_scans(data: bytes, header: Header) -> bool:
    """Returns whether some coefficients of some channel never came: the file ended between scans.

    Args:
        data: A JPEG that can be decoded without a warning.
        header: What it says of its pixels.
    """
    if not header.is_progressive and header.scan_channels == len(header.channels):
        return False  # the usual file: one scan has all
    # Channel -> how many of the lowest bits of each coefficient have not come.
    missing = {channel: bytearray(b"\xff" * _COEFFICIENTS) for channel in header.channels}
    end = data.find(_EOI, header.scan)
    for match in _SCAN_HEADER.finditer(data, header.scan, end + 1):
        start = match.end() + 2
        channels = 2 * data[start]
        low, high, bits = data[start + 1 + channels : start + 4 + channels]
        if not header.is_progressive:
            low, high, bits = 0, _COEFFICIENTS - 1, 0
        for channel in data[start + 1 : start + 1 + channels : 2]:
            missing[channel][low : high + 1] = bytes([bits & 15]) * (high + 1 - low)
    return any(map(any, missing.values()))
