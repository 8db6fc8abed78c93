"""The segments of a JPEG file: its coding process, and repairs that leave its pixels alone.

Source of the structure: ITU-T T.81, annex B; T.871 (JFIF) for APP0 and T.872, 6.5.3 for APP14.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import NamedTuple


class Marker:
    """Second bytes of markers, after 0xFF; T.81, table B.1."""

    SOF, DHT, SOI, EOI, SOS = 0xC0, 0xC4, 0xD8, 0xD9, 0xDA
    APP0, APP1, APP14, JPEG_LS, COMMENT = 0xE0, 0xE1, 0xEE, 0xF7, 0xFE


JPEG_SIGNATURE = b"\xff\xd8\xff"

START, END, SCAN = (bytes((0xFF, marker)) for marker in (Marker.SOI, Marker.EOI, Marker.SOS))
MOST_SEGMENTS = 10_000
"""Before a scan: profiles of colours come in at most 255, those of editors in some hundred."""
_FRAMES = {*range(Marker.SOF, Marker.SOF + 16), Marker.JPEG_LS} - {Marker.DHT, 0xC8, 0xCC}
_FRAME_HEADER = 6  # precision, height, width, number of components; then 3 bytes for each
_COEFFICIENTS = 64
_SCAN = re.compile(SCAN)
# A whole run of zeros and fill bytes, and of the marker after it that may follow compressed data.
# Nothing is tried twice, since runs can be as long as the file.
_PADDING = re.compile(rb"(?<![\x00\xff])[\x00\xff]{2,}+(?<=\xff)(?=[\xc4\xd0-\xd7\xd9\xda])")
_FILL = re.compile(rb"[\x00\xff]*+")
# What ends the data of a scan: neither a value of 255, nor a fill byte, nor a restart.
_END_OF_DATA = re.compile(rb"\xff(?=[^\x00\x01\xff\xd0-\xd7])")

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
        return self.process in (Marker.SOF + 2, Marker.SOF + 10)


def header_segments(data: bytes, start: int = 2) -> Iterator[Segment]:
    """Yields the segments up to the next scan's, with zeros and fill bytes between them skipped.

    Ends early where something else stands between them, the file ends, or there are more than
    `MOST_SEGMENTS`.

    Args:
        data: The file.
        start: Where the first of them begins.
    """
    end, marker = len(data) - 4, 0
    for _ in range(2 * MOST_SEGMENTS):  # there may be fill bytes before each
        if start > end or marker == Marker.SOS:
            return
        first, marker, length = _MARKER(data, start)
        if first == 0 or marker == first == 0xFF:
            start, marker = fill_end(data, start), 0
        elif first != 0xFF or length < 2:
            return
        else:
            yield Segment(marker, start + 4, start + 2 + length)
            start += 2 + length


def scans(data: bytes) -> Iterator[tuple[list[Segment], int]]:
    """Yields, for each scan, the segments up to its own header, and the offset where its data end.

    A decoder passes over whatever else stands there, too; then the last segment is none of a scan.
    """
    start = 2
    while True:
        segments = list(header_segments(data, start))
        first = segments[-1].stop if segments else start
        end = _END_OF_DATA.search(data, max(first, start + 1))
        yield segments, end.start() if end else len(data)
        if end is None or data[end.end()] == Marker.EOI:
            return
        start = end.start()


def fill_end(data: bytes, start: int) -> int:
    """Returns where zeros and fill bytes end; the last 0xFF begins a marker."""
    match = _FILL.match(data, start)
    end = match.end() if match else start
    return end - 1 if start < end < len(data) and data[end - 1] == 0xFF else end


def read_header(data: bytes, start: int = 0) -> Header | None:
    """Reads the header of a JPEG; None if the file ends before it is complete.

    Args:
        data: The file.
        start: Where in it the JPEG begins.
    """
    frame = b""
    process = scan = scan_channels = 0
    has_adobe = False
    for marker, content, stop in header_segments(data, start + len(START)):
        if marker == Marker.SOS and stop <= len(data):
            scan, scan_channels = content - 4, data[content]
        elif marker in _FRAMES:
            process, frame = marker, data[content:stop]
        elif marker == Marker.APP14:
            has_adobe |= data.startswith(b"Adobe", content)
    if len(frame) < _FRAME_HEADER or len(frame) < _FRAME_HEADER + 3 * frame[5]:
        return None
    precision, height, width, _ = _FRAME(frame)
    channels = frame[_FRAME_HEADER : _FRAME_HEADER + 3 * frame[5] : 3]
    return Header(process, precision, (width, height), channels, has_adobe, scan, scan_channels)


def with_plain_header(data: bytes) -> bytes:
    """Returns a JPEG without segments that a decoder may warn of and that do not affect pixels.

    Comments, profiles, EXIF and padding go. A JFIF version and an Adobe transform that nobody
    knows become those that libjpeg takes for them.
    """
    parts = [START]
    header = read_header(data)
    for segment in header_segments(data):
        content = bytearray(data[segment.start - 2 : segment.stop])
        if segment.marker == Marker.APP0:
            if content[2:7] != b"JFIF\0" or len(content) < 9:
                continue
            content[7:9] = b"\x01\x01"
        elif segment.marker == Marker.APP14:
            if content[2:7] != b"Adobe" or len(content) < 14:
                continue
            if content[13] > 2:
                content[13] = 2 if header is not None and len(header.channels) == 4 else 1
        elif Marker.APP0 <= segment.marker <= 0xEF or segment.marker == Marker.COMMENT:
            continue
        parts += [bytes((0xFF, segment.marker)), bytes(content)]
        if segment.marker == Marker.SOS:
            return b"".join((*parts, data[segment.stop :]))
    return data  # no scan was found: a decoder may say so


def with_end_marker(data: bytes) -> bytes:
    """Returns a JPEG that lacks its end marker, or half of it, with one."""
    return data.rstrip(b"\xff") + END


def without_padding(data: bytes) -> bytes:
    """Returns a JPEG without the zeros and fill bytes before markers of its compressed part.

    What looks like padding may be a hole that was decoded as if it were data: only a file that is
    whole without these bytes had padding.
    """
    start = next((s.stop for s in header_segments(data) if s.marker == Marker.SOS), len(data))

    def shorter(match: re.Match[bytes]) -> bytes:
        value = b"\xff\x00" if match[0].startswith(b"\xff\x00") else b""  # a value of 255
        return value + b"\xff"  # of the marker

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
    end = data.find(END, header.scan)
    for match in _SCAN.finditer(data, header.scan, end + 1):
        start = match.end() + 2
        channels = 2 * data[start]
        low, high, bits = data[start + 1 + channels : start + 4 + channels]
        if not header.is_progressive:
            low, high, bits = 0, _COEFFICIENTS - 1, 0
        for channel in data[start + 1 : start + 1 + channels : 2]:
            missing[channel][low : high + 1] = bytes([bits & 15]) * (high + 1 - low)
    return any(map(any, missing.values()))
