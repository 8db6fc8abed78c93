"""Damage that no decoder speaks of by itself: it is found all the same."""

from __future__ import annotations

import numpy as np
import pytest
from convert_cases import encoded
from image_cases import PASSES, jpeg, outcome, png, reason
from PIL import Image

from convert.images.formats.jpeg.zeros import is_zeroed

WIDTH, HEIGHT = 64, 48
ZEROED = "damaged: the JPEG: zeros stand where its pixels should be"


# PNG


@pytest.mark.parametrize("height", [9, 41])  # the first pass has pixels of the last row
@pytest.mark.parametrize("num_passes", range(1, 7))
def test_the_first_passes_of_an_interlaced_image_are_not_all(height: int, num_passes: int) -> None:
    passes = [
        (b"\0" + b"\x5a" * (3 * -(-(WIDTH - left) // right))) * -(-(height - top) // down)
        for left, top, right, down in PASSES
    ]
    whole = png((WIDTH, height), 8, 2, b"".join(passes), interlace=1)
    assert outcome(whole, size=(WIDTH, height)) == "converted one_colour"
    short = png((WIDTH, height), 8, 2, b"".join(passes[:num_passes]), interlace=1)
    assert outcome(short) == "truncated: the PNG ends before its last row"
    assert "damaged_kept" in outcome(short, lenient=True).split()


# JPEG


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("options", [{}, {"restart_marker_rows": 1}, {"optimize": True}])
def test_zeros_in_the_middle_of_a_jpeg(mode: str, options: dict) -> None:
    data = bytearray(jpeg(mode, (200, 160), quality=80, **options))
    assert outcome(bytes(data)).split()[0] == "converted"
    middle = len(data) * 2 // 3
    data[middle : middle + 64] = bytes(64)
    assert reason(bytes(data)) == "damaged"
    assert "damaged_kept" in outcome(bytes(data), lenient=True).split()


def test_zeros_are_found_where_libjpeg_says_nothing() -> None:
    data = jpeg("RGB", (200, 160), quality=80)
    middle = len(data) // 2
    starts = range(middle, middle + 40)
    assert ZEROED in {outcome(data[:at] + bytes(64) + data[at + 64 :]) for at in starts}


def test_zeros_outside_of_the_pixels_are_no_damage() -> None:
    plain = jpeg(size=(200, 160))
    comment = b"\xff\xfe" + (302).to_bytes(2, "big") + bytes(300)
    assert outcome(plain[:2] + comment + plain[2:]) == "converted"
    assert outcome(plain + bytes(300)) == "converted"
    assert outcome(plain[:-2] + bytes(300) + plain[-2:]) == "converted"  # padding
    assert not is_zeroed(plain[:-2] + bytes(300) + plain[-2:])


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("options", [{}, {"optimize": True}, {"progressive": True}])
@pytest.mark.parametrize("quality", [1, 30, 75, 95, 100])
def test_flat_pictures_are_good(mode: str, options: dict, quality: int) -> None:
    y, x = np.mgrid[:400, :400]
    for values in (x * 0, x * 0 + 255, x * 0 + 128, (x + y) // 4, x % 2 * 255, (y == 200) * 255):
        image = Image.fromarray(values.astype(np.uint8)).convert(mode)
        assert not is_zeroed(encoded(image, "JPEG", quality=quality, **options))


def test_a_flat_picture_may_be_full_of_zeros() -> None:
    image = Image.new("L", (800, 800), 128)
    data = encoded(image, "JPEG", optimize=True)
    assert bytes(32) in data and outcome(data) == "converted one_colour"


def test_tables_and_scans_that_come_later() -> None:
    """Each scan is judged by the table that its first channel has when it begins."""

    def table(number: int, symbol: int) -> bytes:
        return b"\xff\xc4\0\x14" + bytes([number, 1]) + bytes(15) + bytes([symbol])

    def scan(number: int, content: bytes) -> bytes:
        return b"\xff\xda\0\x08\x01\x01" + bytes([number]) + b"\0\x3f\0" + content

    zeros = b"\1" + bytes(40) + b"\1"
    first = b"\xff\xd8" + table(0x10, 0) + table(0x11, 1) + scan(0, zeros)
    assert not is_zeroed(first + b"\xff\xd9")
    assert not is_zeroed(first + scan(1, b"\1") + b"\xff\xd9")
    assert is_zeroed(first + scan(1, zeros) + b"\xff\xd9")
    assert is_zeroed(first + table(0x10, 1) + scan(0, zeros) + b"\xff\xd9")
    assert is_zeroed(first + scan(1, zeros))
    assert not is_zeroed(first + scan(1, b"\1\xff\xd9") + zeros)
