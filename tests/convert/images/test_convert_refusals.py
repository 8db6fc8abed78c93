"""Sources that are no whole, honest image are refused; nothing else ever comes out."""

import tracemalloc
import zlib
from io import BytesIO

import numpy as np
import pytest
from convert_cases import encoded, png
from image_cases import bomb, chunk, outcome, reason
from PIL import Image, features

from convert.errors import ImageError
from convert.images import ImageOptions, render, to_array

OPTIONS = ImageOptions(crop=None, size=(12, 8))
PNG = png()
PICTURE = Image.open(BytesIO(PNG)).copy()
JPEG = encoded(PICTURE.resize((120, 80)), "JPEG")
TIFF = encoded(PICTURE, "TIFF")
FORMATS = "PNG, JPEG, BMP, GIF, TIFF, WEBP"
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\n%%EndComments\nshowpage\n"


def flip(data: bytes, position: int) -> bytes:
    return data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty_file: the file has 0 bytes"),
        (
            b"<!DOCTYPE html><title>404</title>",
            f"unknown_format: an HTML page, starts with b'<!DOCTYP', expected one of {FORMATS}",
        ),
        (EPS, f"unknown_format: PostScript, starts with b'%!PS-Ado', expected one of {FORMATS}"),
        # Pillow could read this one; it is not on the list.
        (
            encoded(PICTURE, "PPM"),
            "unknown_format: a PNM (PBM, PGM, PPM), starts with b'P6\\n12 8\\n', "
            f"expected one of {FORMATS}",
        ),
        (
            b"RIFF\x24\0\0\0WAVEfmt ",  # a sound in the container of WebP
            f"unknown_format: starts with b'RIFF$\\x00\\x00\\x00', expected one of {FORMATS}",
        ),
        (b"\x00" * 64, f"unknown_format: starts with {bytes(8)!r}, expected one of {FORMATS}"),
        (PNG[:-12], f"truncated: the PNG ends after {len(PNG) - 12} bytes, before its IEND"),
        (PNG[:-9], f"truncated: the PNG ends after {len(PNG) - 9} bytes, before its IEND"),
        (PNG[:-1], f"truncated: the PNG ends after {len(PNG) - 1} bytes, inside a chunk"),
        (PNG[:60], "truncated: the PNG ends after 60 bytes, inside a chunk"),
        (PNG[:8], "truncated: the PNG ends after 8 bytes, before its IEND"),
        (JPEG[: len(JPEG) // 2], "truncated: the JPEG ends before its last row"),
        (JPEG[:300], "damaged: its header cannot be read"),
        # The place of the pixels is said to be a floating-point number.
        (TIFF[:72] + b"\x0b" + TIFF[73:], "damaged: the TIFF's pixels cannot be decoded"),
        (flip(PNG, 20), "damaged: the CRC of PNG chunk 'IHDR' is wrong"),
        (flip(PNG, 60), "damaged: the CRC of PNG chunk 'IDAT' is wrong"),
        (flip(PNG, len(PNG) - 1), "damaged: the CRC of PNG chunk 'IEND' is wrong"),
        (
            encoded(Image.new("LAB", (4, 4)), "TIFF"),
            "unsupported_mode: pixels of Pillow mode 'LAB'",
        ),
        (
            encoded(Image.new("F", (4, 4)), "TIFF"),
            "unsupported_mode: pixels of Pillow mode 'F'",
        ),
    ],
)
def test_refusals(data: bytes, message: str) -> None:
    assert outcome(data) == message


@pytest.mark.parametrize("position", range(8, len(PNG), 7))
def test_a_flipped_bit_anywhere_in_a_png_is_noticed(position: int) -> None:
    assert reason(flip(PNG, position)) in ("damaged", "truncated")


def test_what_follows_the_end_of_a_png_does_not_matter() -> None:
    assert render(PNG + b"trailing bytes", OPTIONS).content == render(PNG, OPTIONS).content


@pytest.mark.parametrize(
    ("width", "height", "limit"),
    [
        (10_000, 10_000, 50_000_000),  # the default
        (4, 4, 15),
        (1, 1_000_000, 999_999),
    ],
)
def test_too_many_pixels_are_refused_before_decoding(width: int, height: int, limit: int) -> None:
    message = f"too_large: {width}x{height} is more than {limit} pixels"
    assert outcome(bomb(width, height), max_pixels=limit) == message


def test_exactly_as_many_pixels_as_allowed_are_decoded() -> None:
    assert render(PNG, ImageOptions(crop=None, size=(12, 8), max_pixels=96)).content
    assert outcome(PNG, max_pixels=95) == "too_large: 12x8 is more than 95 pixels"
    assert outcome(bomb(12, 8)) == "truncated: the PNG ends before its last row"


def test_a_text_bomb_in_a_png_is_passed_over_and_not_inflated() -> None:
    text = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(1 << 25), 9))
    for at in (33, len(PNG) - 12):  # before the pixels, and after them
        data = PNG[:at] + text + PNG[at:]
        tracemalloc.start()
        found = render(data, OPTIONS).content
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert found == render(PNG, OPTIONS).content
        assert peak < 1 << 23


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP"])
def test_each_format_is_read(kind: str) -> None:
    part = {"TIFF": "libtiff", "WEBP": "webp"}.get(kind)
    if part and not features.check(part):
        pytest.skip(f"Pillow was built without {part}")
    source = PICTURE.quantize(96) if kind == "GIF" else PICTURE
    options = {"WEBP": {"lossless": True}, "TIFF": {"compression": "tiff_lzw"}}.get(kind, {})
    found = to_array(render(encoded(source, kind, **options), OPTIONS), OPTIONS)
    expected = np.asarray(source.convert("RGB"))
    if kind == "JPEG":  # the one that loses
        expected = np.asarray(Image.open(BytesIO(encoded(source, kind))))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "GIF", "TIFF"])
def test_damage_gives_pixels_or_a_reason_and_nothing_else(kind: str) -> None:
    data, random = encoded(PICTURE, kind), np.random.default_rng(0)
    for _ in range(200):
        damaged = bytearray(data[: random.integers(1, len(data) + 1)])
        for position in random.integers(0, len(damaged), 3):
            damaged[position] = random.integers(256)
        try:
            assert len(render(bytes(damaged), OPTIONS).content) == 12 * 8 * 3
        except ImageError as error:
            assert " at 0x" not in error.detail and "\n" not in error.detail
