"""A file without some of its rows is no image, whatever its format: none becomes black."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO

import numpy as np
import pytest
from convert_cases import encoded
from image_cases import (
    PASSES,
    SIGNATURE,
    chunk,
    edit_tag,
    needs_tiff,
    needs_webp,
    outcome,
    picture,
    pixels,
    png,
    reason,
    tag_values,
)  # fmt: skip
from PIL import Image

from convert.images.formats.png import fast_decoder as png_module
from convert.images.formats.png.chunks import has_all_rows

WIDTH, HEIGHT = 64, 48
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
KINDS = [(1, 0), (2, 0), (4, 0), (8, 0), (16, 0), (8, 2), (16, 2), (1, 3), (2, 3), (4, 3), (8, 3)]
KINDS += [(8, 4), (16, 4), (8, 6), (16, 6)]
LACKS = "truncated: the PNG ends before its last row"
TIFF_LACKS = "truncated: the TIFF lacks strips, or they are too short for its rows"


def rows(depth: int, colour: int, interlace: int = 0, size: tuple[int, int] = (64, 48)) -> bytes:
    """Returns uncompressed rows without a zero but for the filter types."""
    content = b""
    for left, top, right, down in PASSES if interlace else [(0, 0, 1, 1)]:
        columns, lines = -(-(size[0] - left) // right), -(-(size[1] - top) // down)
        if columns > 0 and lines > 0:
            row = -(-columns * depth * CHANNELS[colour] // 8)
            content += (b"\0" + bytes(x % 255 + 1 for x in range(row))) * lines
    return content


@pytest.mark.parametrize("share", [0.0, 0.4, 0.97, 1.0])
@pytest.mark.parametrize("interlace", [0, 1])
@pytest.mark.parametrize(("depth", "colour"), KINDS)
def test_a_png_with_too_few_rows(depth: int, colour: int, interlace: int, share: float) -> None:
    content = rows(depth, colour, interlace)
    missing = max(1, int(len(content) * (1 - share)))
    whole = png((WIDTH, HEIGHT), depth, colour, content, interlace=interlace)
    short = png((WIDTH, HEIGHT), depth, colour, content[:-missing], interlace=interlace)
    for options in ({}, {"fast_decode": True}):
        assert reason(whole, **options).startswith("converted")
        assert outcome(short, **options) == LACKS
    if share > 0:
        kept = outcome(short, lenient=True).split()
        assert kept[0] == "converted" and "damaged_kept" in kept


@pytest.mark.parametrize(("depth", "colour"), KINDS)
def test_fast_decode_needs_only_the_rows_of_the_crop(depth: int, colour: int) -> None:
    content = rows(depth, colour)
    row = len(content) // HEIGHT
    options = {"crop": (0, 0, 64, 20), "size": (64, 20), "fast_decode": True}
    enough = png((64, 48), depth, colour, content[: 20 * row])
    assert reason(enough, **options).startswith("converted")
    assert outcome(png((64, 48), depth, colour, content[: 20 * row - 1]), **options) == LACKS
    assert outcome(png((64, 48), depth, colour, content[: 12 * row]), **options) == LACKS


@pytest.mark.parametrize("interlace", [0, 1])
@pytest.mark.parametrize("size", [(1, 1), (3, 1), (1, 5), (5, 3), (9, 8), (17, 33)])
def test_rows_are_counted_in_small_images_too(size: tuple[int, int], interlace: int) -> None:
    content = rows(8, 2, interlace, size)
    assert has_all_rows(png(size, 8, 2, content, interlace=interlace))
    assert not has_all_rows(png(size, 8, 2, content[:-1], interlace=interlace))
    black = bytes(len(content))
    options = {"size": size}
    assert "converted" in outcome(png(size, 8, 2, black, interlace=interlace), **options)
    assert outcome(png(size, 8, 2, black[:-1], interlace=interlace), **options) == LACKS


def test_the_slower_decoder_says_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(png_module, "pyspng", None)
    content = rows(8, 2)
    assert outcome(png((64, 48), 8, 2, content[: len(content) // 2])) == LACKS
    assert outcome(png((64, 48), 8, 2, content)) == "converted"


def test_an_animation_whose_first_frame_lacks_rows() -> None:
    animation = encoded(picture(), "PNG", save_all=True, append_images=[picture().rotate(180)])
    start = animation.index(b"IDAT") - 4
    length = struct.unpack_from(">I", animation, start)[0]
    stream = zlib.decompress(animation[start + 8 : start + 8 + length])
    half = chunk(b"IDAT", zlib.compress(stream[: len(stream) // 2]))
    data = animation[:start] + half + animation[start + 12 + length :]
    assert outcome(animation) == "converted further_pages"
    assert outcome(data) == LACKS


def test_what_lenient_keeps_of_a_png() -> None:
    content = rows(8, 2)
    row = len(content) // HEIGHT
    data = png((WIDTH, HEIGHT), 8, 2, content)
    middle = data.index(b"IDAT") + 4 + 60
    expected = pixels(data)
    short = png((WIDTH, HEIGHT), 8, 2, content[: 10 * row])
    found = pixels(short, lenient=True)
    assert np.array_equal(found[:10], expected[:10]) and not found[10:].any()
    for cut in (middle, len(data) - 3, len(data) - 12, len(data) - 20):
        assert reason(data[:cut]) == "truncated"
        assert "damaged_kept" in outcome(data[:cut], lenient=True)
    assert reason(data[:30], lenient=True) == "truncated"  # there are no rows
    assert reason(data[:20] + b"\1" + data[21:], lenient=True) == "damaged"


# GIF, BMP


def gif_with(stream: bytes) -> bytes:
    """Returns a GIF whose compressed pixels are others."""
    data = encoded(picture().quantize(64), "GIF")
    start = data.index(b"\x2c", 13 + 3 * (2 << (data[10] & 7)))
    start += 10 + (3 * (2 << (data[start + 9] & 7)) if data[start + 9] & 0x80 else 0) + 1
    if not stream:
        stream, at = b"", start
        while data[at]:
            stream += data[at + 1 : at + 1 + data[at]]
            at += 1 + data[at]
        stream = stream[: len(stream) // 2]
    blocks = [stream[at : at + 255] for at in range(0, len(stream), 255)]
    return data[:start] + b"".join(bytes([len(b)]) + b for b in blocks) + b"\0;"


def rle_bmp(num_rows: int, end: bytes = b"\0\1") -> bytes:
    """Returns a run-length coded BMP; rows are stored from the bottom up."""
    palette = b"".join(bytes([grey, grey, grey, 0]) for grey in range(256))
    runs = b"".join(bytes([1, 9 + x]) for x in range(WIDTH)) + b"\0\0"
    data = runs * num_rows + end
    start = 14 + 40 + len(palette)
    header = struct.pack("<IiiHHIIiiII", 40, WIDTH, HEIGHT, 1, 8, 1, len(data), 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", start + len(data), 0, 0, start) + header + palette + data


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(gif_with(b""), id="GIF that stops half-way"),
        pytest.param(gif_with(b"\x80"), id="GIF with nothing but a clear code"),
        pytest.param(encoded(picture().quantize(64), "GIF")[:900], id="GIF cut"),
        pytest.param(encoded(picture(), "BMP")[:5000], id="BMP cut"),
        pytest.param(rle_bmp(20), id="run-length coded BMP"),
        pytest.param(rle_bmp(20, b""), id="run-length coded BMP without an end"),
        pytest.param(rle_bmp(20, b"\0\2\0\x1c\0\1"), id="run-length coded BMP that skips rows"),
    ],
)
def test_other_files_that_stop_half_way(data: bytes) -> None:
    assert reason(data) in ("truncated", "damaged")


def test_whole_files_of_these_kinds_are_converted() -> None:
    assert outcome(rle_bmp(HEIGHT)) == outcome(rle_bmp(HEIGHT, b"")) == "converted"


# TIFF


def tiff(compression: str | None = None, mode: str = "RGB") -> bytes:
    """Returns a TIFF of six strips."""
    image = picture().convert(mode)
    return encoded(image, "TIFF", compression=compression, tiffinfo={278: 8})


COMPRESSIONS = [None, *("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", "group4")]
tiffs = pytest.mark.parametrize(
    "compression", [pytest.param(c, marks=[needs_tiff] if c else []) for c in COMPRESSIONS]
)


def _tiff(compression: str | None) -> bytes:
    return tiff(compression, "1" if compression == "group4" else "RGB")


@tiffs
def test_tiffs_with_too_few_strips(compression: str | None) -> None:
    data = _tiff(compression)
    assert outcome(data) == "converted"
    fewer = edit_tag(data, 273, lambda offsets: offsets[:3])
    assert outcome(fewer) == TIFF_LACKS
    assert outcome(edit_tag(fewer, 279, lambda counts: counts[:3])) == TIFF_LACKS
    nowhere = edit_tag(data, 273, lambda offsets: [*offsets[:4], 0, 0])
    assert outcome(nowhere) == TIFF_LACKS
    beyond = edit_tag(data, 273, lambda offsets: [*offsets[:5], len(data) + 9])
    assert reason(beyond) == "truncated"
    long = edit_tag(data, 279, lambda counts: [*counts[:5], len(data)])
    assert reason(long) == ("truncated" if compression else "converted")


@tiffs
def test_tiffs_with_strips_that_are_too_short(compression: str | None) -> None:
    data = _tiff(compression)
    short = edit_tag(data, 279, lambda counts: [count // 2 for count in counts])
    assert reason(short) in ("truncated", "damaged")
    last = edit_tag(data, 279, lambda counts: [*counts[:5], counts[5] // 3])
    assert reason(last) in ("truncated", "damaged")


@pytest.mark.parametrize(
    "compression",
    [pytest.param(c, marks=needs_tiff) for c in COMPRESSIONS if c],
)
@pytest.mark.parametrize("strip", [0, 2, 5])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.6])
def test_tiffs_with_a_hole_in_a_strip(compression: str, strip: int, share: float) -> None:
    data = bytearray(_tiff(compression))
    start, count = tag_values(data, 273)[strip], tag_values(data, 279)[strip]
    first = start + int(count * share)
    data[first : start + count] = bytes(start + count - first)
    assert reason(bytes(data)) in ("truncated", "damaged")


@needs_tiff
def test_a_deflated_strip_with_half_its_rows() -> None:
    data = tiff("tiff_adobe_deflate")
    start, count = tag_values(data, 273)[2], tag_values(data, 279)[2]
    content = zlib.decompress(data[start : start + count])
    half = zlib.compress(content[: len(content) // 2])
    data = data[:start] + half + data[start + len(half) :]
    data = edit_tag(data, 279, lambda counts: [*counts[:2], len(half), *counts[3:]])
    assert outcome(data) == TIFF_LACKS


def test_uncompressed_strips_without_counts_are_whole() -> None:
    """Old writers leave the counts at 0."""
    assert outcome(edit_tag(tiff(), 279, lambda counts: [0] * len(counts))) == "converted"


def test_what_lenient_keeps_of_a_tiff() -> None:
    data = edit_tag(tiff(), 273, lambda offsets: offsets[:3])
    assert outcome(data, lenient=True) == "converted damaged_kept"
    assert not pixels(data, lenient=True)[24:].any()


@needs_tiff
def test_lenient_keeps_no_rows_that_libtiff_has_not_written() -> None:
    """They would be what was in memory before, other bytes in every run."""
    data = edit_tag(tiff("tiff_lzw"), 279, lambda counts: [count // 2 for count in counts])
    assert reason(data, lenient=True) == "damaged"
    fewer = edit_tag(tiff("packbits"), 273, lambda offsets: offsets[:3])
    assert outcome(fewer, lenient=True) == TIFF_LACKS


def test_a_tiff_that_ends_before_its_tags() -> None:
    """What writes a TIFF puts them last, so this is how a cut one looks."""
    data = b"II*\0" + struct.pack("<I", 5000) + bytes(2000)
    assert outcome(data) == "truncated: the TIFF ends after 2008 bytes, before its tags"


# WebP


@needs_webp
@pytest.mark.parametrize("lossless", [False, True])
def test_a_webp_that_was_cut(lossless: bool) -> None:
    data = encoded(picture(), "WEBP", lossless=lossless)
    half = len(data) // 2 & ~1
    assert outcome(data) == "converted"
    assert outcome(data[:half]) == f"truncated: the WEBP has {half} of {len(data)} bytes"
    # The same with its lengths made right.
    for body in (data[8:half], data[8:16] + struct.pack("<I", half - 20) + data[20:half]):
        mended = b"RIFF" + struct.pack("<I", len(body)) + body
        assert reason(mended) == "damaged"


def test_whole_images_of_every_kind_are_what_pillow_shows() -> None:
    for depth, colour in KINDS:
        data = png((WIDTH, HEIGHT), depth, colour, rows(depth, colour))
        assert data.startswith(SIGNATURE)
        with Image.open(BytesIO(data)) as image:
            if image.mode in ("RGB", "RGBA", "L", "P", "1", "LA"):
                shown = np.asarray(image.convert("RGBA"))[..., :3]
                assert image.mode == "RGBA" or np.array_equal(pixels(data), shown)
