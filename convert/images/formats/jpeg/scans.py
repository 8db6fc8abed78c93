"""Limits the work of decoding a JPEG, by its scans, segments and EXIF, before it is decoded.

libjpeg goes through all pixels for each scan, and a scan that changes none takes ten bytes.
"""

from __future__ import annotations

from convert.errors import ImageError
from convert.images.formats.jpeg.segments import (
    MOST_SEGMENTS,
    SCAN,
    Marker,
    fill_end,
    header_segments,
    scans,
)
from convert.images.formats.tag_directories import EXIF, check_exif

MOST_SCANS = 500
"""Of any JPEG: the limit that libjpeg-turbo has for files that nobody vouches for (TurboJPEG's
TJPARAM_SCANLIMIT in its fuzzers). libjpeg itself writes 10, encoders that search for more few tens.
"""

_SCANS_OF_LARGEST = 32  # of an image of as many pixels as are allowed; smaller ones may have more
_SMALL_BYTES = 1 << 20  # of a file in which segments take no time
_SEARCHED_BYTES = 8 << 10  # of a file that is searched in less time than its segments are read
_MOST_FILL_BYTES = 1 << 20  # Pillow passes over them one by one


def check_scans(data: bytes, num_pixels: int, max_pixels: int) -> int:
    """Refuses a JPEG with so many scans that decoding it would take far more than its pixels do.

    Args:
        data: The file.
        num_pixels: Width times height.
        max_pixels: Of the largest image that is allowed.

    Returns:
        How often a scan's marker stands in the file, also where it means nothing. At least the
        number of scans.

    Raises:
        ImageError: It has too many.
    """
    most = min(MOST_SCANS, _SCANS_OF_LARGEST * max(1, max_pixels // max(1, num_pixels)))
    num_markers = data.count(SCAN)
    if num_markers > most and count_scans(data, most + 1) > most:
        raise ImageError(
            "too_large", f"a JPEG of more than {most} scans; save it as a usual JPEG or PNG"
        )
    return num_markers


def count_scans(data: bytes, most: int) -> int:
    """Counts the scans that a decoder goes through.

    Args:
        data: A JPEG.
        most: Where the counting stops.
    """
    count = num_segments = 0
    for segments, _ in scans(data):
        markers = [segment.marker for segment in segments]
        if count >= most or num_segments > MOST_SEGMENTS:
            return most
        if Marker.EOI in markers:
            return count
        count += markers[-1:] == [Marker.SOS]
        num_segments += len(segments)
    return count


def check_header(data: bytes) -> None:
    """Refuses a JPEG before whose pixels stands so much that reading that takes far too long.

    Args:
        data: The file.

    Raises:
        ImageError: It has too many segments, too many bytes between them, or its EXIF names far
            more bytes than it has.
    """
    if len(data) < _SEARCHED_BYTES and EXIF not in data:
        return
    exif = bytearray()
    marker = num_segments = num_fill_bytes = 0
    end = 2
    for marker, start, stop in header_segments(data):
        num_segments += 1
        num_fill_bytes += start - 4 - end
        end = stop
        if marker == Marker.APP1 and data.startswith(EXIF, start):
            exif += data[start + len(EXIF) : stop]  # Pillow joins those of several
    if len(data) < _SMALL_BYTES and not exif:
        return
    if num_segments > MOST_SEGMENTS:
        raise ImageError("too_large", f"a JPEG of more than {MOST_SEGMENTS:,} segments")
    if marker != Marker.SOS:
        num_fill_bytes += fill_end(data, end) - end
    if num_fill_bytes > _MOST_FILL_BYTES:
        raise ImageError("too_large", f"a JPEG of {num_fill_bytes:,} bytes between its segments")
    if exif:
        check_exif(bytes(exif))
