"""Files that are small, and that would take minutes or gigabytes to be decoded."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Sequence

from convert_cases import encoded
from image_cases import chunk, jpeg, picture, require_codec
from PIL import Image

EXIF_TAG, GPS_TAG, INTEROP_TAG = 34665, 34853, 40965
GREY = Image.new("L", (16, 16), 7)
Tags = Sequence[tuple[int, int, int, int]]


def scans(count: int, size: tuple[int, int] = (16, 16)) -> bytes:
    """Returns a progressive JPEG whose six scans come again and again."""
    plain = bytearray(jpeg("L", (16, 16), progressive=True))
    at = plain.find(b"\xff\xc2")
    plain[at + 5 : at + 9] = struct.pack(">HH", *size[::-1])
    first, second = plain.find(b"\xff\xda"), plain.find(b"\xff\xda", plain.find(b"\xff\xda") + 1)
    return bytes(plain[:first] + plain[first:second] * (count - 5) + plain[second:])


def exif(num_tags: int, size: int) -> bytes:
    """Returns an EXIF block all of whose tags name the whole block."""
    tags = [(1000 + number, 7, size - 8, 8) for number in range(num_tags)]
    return directory(tags).ljust(size, b"\0")


def directory(tags: Tags, start: int = 8, further: int = 0) -> bytes:
    """Returns the start of a TIFF: its signature and the directory of one page."""
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    head = b"II*\0" + struct.pack("<I", start)
    return head + struct.pack("<H", len(tags)) + entries + struct.pack("<I", further)


def tiff(
    size: tuple[int, int],
    rows: int,
    strip: bytes,
    compression: int = 1,
    more: Tags = (),
    claimed: int | None = None,
) -> bytes:
    """Returns a grey TIFF all of whose strips are one and the same.

    Args:
        size: (width, height) in pixels.
        rows: Of a strip.
        strip: Its bytes.
        compression: As the tag says it.
        more: Further tags, after the usual ones.
        claimed: Bytes of the strip as its tag says. None: as many as there are.
    """
    stored = len(strip) if claimed is None else claimed
    width, height = size
    count = -(-height // rows)
    at = 8 + 2 + 12 * (9 + len(more)) + 4
    places = struct.pack("<I", at + 8 * count) * count
    sizes = struct.pack("<I", stored) * count
    one = count == 1
    tags = [
        (256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (259, 3, 1, compression),
        (262, 3, 1, 1), (273, 4, count, at + 8 if one else at), (277, 3, 1, 1), (278, 4, 1, rows),
        (279, 4, count, stored if one else at + 4 * count), *more,
    ]  # fmt: skip
    return directory(tags) + places + sizes + strip


def coded_tiff(size: tuple[int, int], rows: int, strip: bytes, compression: int) -> bytes:
    """Returns a TIFF that only libtiff decodes; skips the test where it is missing."""
    require_codec("libtiff")
    return tiff(size, rows, strip, compression)


def tiff_directory(pointer: int, num_tags: int, kind: int, inner: bool = False) -> bytes:
    """Returns a TIFF with a directory of EXIF or GPS whose tags all name its 4,000 bytes after it.

    Args:
        pointer: The tag that names the directory.
        num_tags: Its tags.
        kind: Their type.
        inner: Whether an EXIF directory without other tags names it in its turn.
    """
    more = [(EXIF_TAG if inner else pointer, 4, 1, 0)]
    start = len(tiff((16, 16), 16, GREY.tobytes(), more=more))
    at = start + 18 * inner  # an EXIF directory of one tag
    count = {5: 500, 3: 2000, 7: 4000}[kind]
    values = at + 6 + 12 * num_tags
    tags = [(1000 + number, kind, count, values) for number in range(num_tags)]
    data = tiff((16, 16), 16, GREY.tobytes(), more=[(*more[0][:3], start)])
    outer = directory([(pointer, 4, 1, at)])[8:] if inner else b""
    return data + outer + directory(tags)[8:] + bytes(4000)


def mpf(num_tags: int) -> bytes:
    """Returns a camera's JPEG whose index has tags that all name the same 500 fractions."""
    tags = [(0xB100 + number, 5, 500, 8 + 6 + 12 * num_tags) for number in range(num_tags)]
    block = b"MPF\0" + directory(tags) + bytes(4000)
    return jpeg_with(b"\xff\xe2" + struct.pack(">H", len(block) + 2) + block)


def gif(extension: bytes) -> bytes:
    """Returns a GIF with something before its picture."""
    data = encoded(GREY, "GIF")
    at = 13 + 3 * (2 << (data[10] & 7))
    return data[:at] + extension + data[at:]


def bmp(size: tuple[int, int], runs: bytes) -> bytes:
    """Returns a grey BMP of runs."""
    start = 14 + 40 + 1024
    head = struct.pack("<IiiHHIIiiII", 40, *size, 1, 8, 1, len(runs), 0, 0, 256, 0)
    palette = b"".join(bytes((value, value, value, 0)) for value in range(256))
    return b"BM" + struct.pack("<IHHI", start + len(runs), 0, 0, start) + head + palette + runs


def png(extra: bytes, mode: str = "L") -> bytes:
    """Returns a PNG with further chunks before its pixels."""
    data = encoded(picture(16, 16, mode), "PNG")
    return data[:33] + extra + data[33:]


def jpeg_with(extra: bytes) -> bytes:
    """Returns a JPEG with something after its first segment."""
    data = jpeg("L", (16, 16))
    return data[:20] + extra + data[20:]


def jpeg_exif(block: bytes) -> bytes:
    """Returns a JPEG with an EXIF block in as many segments as it takes."""
    parts = (block[start : start + 65_000] for start in range(0, len(block), 65_000))
    contents = (b"Exif\0\0" + part for part in parts)
    return jpeg_with(b"".join(b"\xff\xe1" + struct.pack(">H", len(c) + 2) + c for c in contents))


def webp_exif(block: bytes) -> bytes:
    require_codec("webp")
    return encoded(picture(16, 16), "WEBP", exif=b"Exif\0\0" + block)


def text_exif(block: bytes) -> bytes:
    """Returns a PNG with an EXIF block as hexadecimal text."""
    text = b"\nexif\n%8d\n" % len(block) + block.hex().encode()
    return png(chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(text)))


_SHARED = exif(400, 400_000)
SHARED_SAID = "too_large: its tags name 159,996,800 bytes of values, of 400,000 that are there"
_STRIP = jpeg("L", (64, 64))
_VAST = bytearray(_STRIP)
_VAST[_STRIP.find(b"\xff\xc0") + 5 : _STRIP.find(b"\xff\xc0") + 9] = struct.pack(">HH", 9000, 9000)
_NO_PACKETS = b"\x80" * 100_000 + b"\xc1\0"

BOMBS: dict[str, tuple[Callable[[], bytes], str]] = {
    "scans that change nothing": (
        lambda: scans(33, (7000, 7000)),
        "too_large: a JPEG of more than 32 scans; save it as a usual JPEG or PNG",
    ),
    "more scans than any encoder writes": (
        lambda: scans(501),
        "too_large: a JPEG of more than 500 scans; save it as a usual JPEG or PNG",
    ),
    "segments before the pixels": (
        lambda: jpeg_with(b"\xff\xfe\0\2" * 300_000),
        "too_large: a JPEG of more than 10,000 segments",
    ),
    "zeros before the pixels": (
        lambda: jpeg_with(b"\0" * 1_100_000),
        "too_large: a JPEG of 1,100,000 bytes between its segments",
    ),
    "zeros and no pixels": (
        lambda: b"\xff\xd8\xff\xfe\0\2" + b"\0" * 1_100_000,
        "too_large: a JPEG of 1,100,000 bytes between its segments",
    ),
    "an EXIF block, all of it named often, of a JPEG": (lambda: jpeg_exif(_SHARED), SHARED_SAID),
    "the same of a PNG": (lambda: png(chunk(b"eXIf", _SHARED)), SHARED_SAID),
    "the same of a WebP": (lambda: webp_exif(_SHARED), SHARED_SAID),
    "the same as a text": (lambda: text_exif(_SHARED), SHARED_SAID),
    "chunks of nothing": (
        lambda: png(chunk(b"abCd", b"") * 110_000),
        "too_large: a PNG of more than 102,578 chunks",
    ),
    "tags that share their values": (
        lambda: tiff(
            (16, 16), 16, b"\0" * 100_000, more=[(40_000 + i, 7, 90_000, 8) for i in range(1000)]
        ),
        "too_large: its tags name 90,000,000 bytes of values, of 112,130 that are there",
    ),
    "tags in vast numbers": (
        lambda: tiff((16, 16), 16, b"\0" * 256, more=[(1000 + i, 4, 1, 5) for i in range(5000)]),
        "too_large: a page of 5,009 tags, at most 4,096",
    ),
    "fractions of an EXIF directory": (
        lambda: tiff_directory(EXIF_TAG, 400, 5),
        "too_large: its tags decode to 51,200,000 bytes of values, of a file of 9,204",
    ),
    "numbers of a GPS directory": (
        lambda: tiff_directory(GPS_TAG, 400, 3),
        "too_large: its tags decode to 51,200,000 bytes of values, of a file of 9,204",
    ),
    "fractions of a directory in an EXIF directory": (
        lambda: tiff_directory(INTEROP_TAG, 400, 5, inner=True),
        "too_large: its tags decode to 51,200,000 bytes of values, of a file of 9,222",
    ),
    "strips in vast numbers": (
        lambda: tiff((1, 250_001), 1, b"\0"),
        "too_large: 250,001 strips or tiles, at most 250,000; save it in fewer",
    ),
    "strips that are all one long one": (
        lambda: coded_tiff((64, 1000), 1, _NO_PACKETS, 32773),
        "too_large: strips or tiles of 100,002,000 bytes in a file of 108,124",
    ),
    "a strip of packets of nothing": (
        lambda: coded_tiff((64, 1), 1, _NO_PACKETS, 32773),
        "damaged: strips of the TIFF are damaged",
    ),
    "a strip that holds a vast picture": (
        lambda: coded_tiff((64, 64), 64, bytes(_VAST), 7),
        "damaged: strips of the TIFF are damaged",
    ),
    "a strip of many scans": (
        lambda: coded_tiff((64, 64), 64, scans(101, (64, 64)), 7),
        "damaged: strips of the TIFF are damaged",
    ),
    "a comment": (
        lambda: gif(b"\x21\xfe" + (b"\xff" + b"a" * 255) * 4200 + b"\0"),
        "too_large: comments of more than 1,048,576 bytes",
    ),
    "blocks of one byte": (
        lambda: gif(b"\x21\xff" + b"\1a" * 600_000 + b"\0"),
        "too_large: more than 118,751 blocks of data",
    ),
    "blocks of nothing": (
        lambda: gif(b"\x21\xf9\4\0\0\0\0\0" * 200_000),
        "too_large: more than 125,001 blocks of data",
    ),
    "bytes between blocks": (
        lambda: gif(b"")[:13] + bytes(2_000_000),
        "too_large: more than 131,250 blocks of data",
    ),
    "a column": (
        lambda: tiff((1, 7_000_000), 7_000_000, bytes(7_000_000)),
        "too_large: 1x7000000 is too narrow to be resized to 8 columns",
    ),
    "runs of no pixels": (
        lambda: bmp((64, 64), b"\0\0" * 50_000),
        "too_large: a BMP of 101,078 bytes for 4,096 pixels",
    ),
}
"""What it is made of -> the file, and what is said of it."""
