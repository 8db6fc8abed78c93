"""Damage in the strips of a TIFF, of which libtiff only warns, or says nothing."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from convert_cases import encoded
from image_cases import edit_tag, needs_tiff, outcome, picture, reason, rendered, tag_values
from PIL import Image

from convert.images.formats.tiff import fax as tiff_fax

pytestmark = needs_tiff

FAX = ["tiff_ccitt", "group3", "group4"]
BILEVEL = [*FAX, "packbits"]
COLOURED = ["packbits", "jpeg", "tiff_lzw", "tiff_adobe_deflate"]
OFFSETS, COUNTS, ROWS = 273, 279, 278
DAMAGED = "damaged: strips of the TIFF are damaged"
DAMAGE = {
    "noise": lambda part, n: part[:n] + np.random.default_rng(3).bytes(n) + part[2 * n :],
    "ones": lambda part, n: part[:n] + b"\xff" * n + part[2 * n :],
    "zeros": lambda part, n: part[:n] + bytes(n) + part[2 * n :],
    "cut out": lambda part, n: part[:n] + part[2 * n :] + bytes(n),
}


def page(width: int = 200, height: int = 120) -> Image.Image:
    """Returns black strokes on white."""
    y, x = np.mgrid[:height, :width]
    black = ((x - 40) ** 2 + (y * 1.5 - 90) ** 2) % 2300 < 700
    return Image.fromarray(np.where(black, 0, 255).astype(np.uint8)).convert("1")


def tiff(compression: str, image: Image.Image | None = None, **tags: int) -> bytes:
    image = image or page()
    tiffinfo = {int(tag[1:]): value for tag, value in tags.items()}
    return encoded(image, "TIFF", compression=compression, tiffinfo=tiffinfo)


def with_damage(data: bytes, kind: str, strip: int = 0) -> bytes:
    start, count = tag_values(data, OFFSETS)[strip], tag_values(data, COUNTS)[strip]
    part = DAMAGE[kind](data[start : start + count], count // 3)
    return data[:start] + part + data[start + count :]


@pytest.mark.parametrize("compression", FAX)
@pytest.mark.parametrize("kind", DAMAGE)
@pytest.mark.parametrize("strips", [1, 4])
def test_damage_in_a_fax(compression: str, kind: str, strips: int) -> None:
    data = tiff(compression, t278=120 // strips)
    assert len(tag_values(data, OFFSETS)) == strips
    assert outcome(data) == "converted"
    assert reason(with_damage(data, kind, strips // 2)) in ("damaged", "truncated")


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_in_packbits(kind: str) -> None:
    data = tiff("packbits", picture(200, 120))
    assert outcome(data) == "converted"
    assert outcome(with_damage(data, kind)) == DAMAGED


@pytest.mark.parametrize("compression", [*FAX, "packbits"])
@pytest.mark.parametrize("share", [0.1, 0.25, 0.5, 0.75, 0.9])
def test_strips_that_are_cut(compression: str, share: float) -> None:
    data = tiff(compression)
    short = edit_tag(data, COUNTS, lambda counts: [int(count * share) for count in counts])
    assert reason(short) in ("damaged", "truncated")
    assert reason(short, lenient=True) in ("damaged", "truncated")  # or memory would be kept


def test_lenient_keeps_what_only_warned_and_every_time_the_same() -> None:
    data = with_damage(tiff("packbits", picture(200, 120)), "ones")
    assert outcome(data) == DAMAGED
    assert outcome(data, lenient=True) == "converted damaged_kept"
    contents = {rendered(data, lenient=True).content for _ in range(3)}
    assert len(contents) == 1


@pytest.mark.parametrize("tags", [{}, {"t278": 7}, {"t278": 120}, {"t262": 0}, {"t266": 2}])
@pytest.mark.parametrize("size", [(200, 120), (8, 3), (7, 50), (1728, 30)])
@pytest.mark.parametrize("compression", BILEVEL)
def test_good_pages(compression: str, size: tuple[int, int], tags: dict) -> None:
    for image in (page(*size), Image.new("1", size, 0), Image.new("1", size, 1)):
        assert outcome(tiff(compression, image, **tags)).startswith("converted")


@pytest.mark.parametrize("tags", [{}, {"t278": 16}, {"t278": 48}])
@pytest.mark.parametrize("compression", COLOURED)
def test_good_pictures(compression: str, tags: dict) -> None:
    assert outcome(tiff(compression, picture(), **tags)) == "converted"


def tiled(compression: str, num_tiles: int = 3) -> bytes:
    """Returns a page of tiles side by side, each compressed by Pillow as a strip."""
    size = 64
    data = [tiff(compression, page().crop((at * 30, 0, at * 30 + size, size)), t278=size)
            for at in range(num_tiles)]  # fmt: skip
    tiles = [d[(o := tag_values(d, OFFSETS)[0]) : o + tag_values(d, COUNTS)[0]] for d in data]
    shared = {tag: tag_values(data[0], tag)[0] for tag in (258, 259, 262)}
    counts = [len(tile) for tile in tiles]
    starts = [8 + sum(counts[:number]) for number in range(num_tiles)]
    lists = struct.pack(f"<{2 * num_tiles}I", *starts, *counts)
    end = 8 + sum(counts)
    tags = [(256, 1, size * num_tiles), (257, 1, size), *((t, 1, v) for t, v in shared.items())]
    tags += [(277, 1, 1), (322, 1, size), (323, 1, size)]
    tags += [(324, num_tiles, end), (325, num_tiles, end + 4 * num_tiles)]
    body = b"".join(struct.pack("<HHII", tag, 4, count, value) for tag, count, value in tags)
    head = b"II*\0" + struct.pack("<I", end + len(lists))
    return head + b"".join(tiles) + lists + struct.pack("<H", len(tags)) + body + bytes(4)


@pytest.mark.parametrize("compression", BILEVEL)
def test_tiles(compression: str) -> None:
    data = tiled(compression)
    assert reason(data).startswith("converted")
    start, count = tag_values(data, 324)[1], tag_values(data, 325)[1]
    third = count // 3
    noise = np.random.default_rng(0).bytes(third)
    damaged = data[: start + third] + noise + data[start + 2 * third :]
    assert reason(damaged) in ("damaged", "truncated")
    short = edit_tag(data, 325, lambda counts: [counts[0], count // 3, counts[2]])
    assert reason(short, lenient=True) in ("damaged", "truncated")


def test_padding_after_packbits_is_no_damage() -> None:
    image = Image.new("L", (64, 48), 9)
    data = tiff("packbits", image)
    start, count = tag_values(data, OFFSETS)[0], tag_values(data, COUNTS)[0]
    padded = data + data[start : start + count] + b"\0"
    padded = edit_tag(padded, OFFSETS, lambda _: [len(data)])
    padded = edit_tag(padded, COUNTS, lambda _: [count + 1])
    assert outcome(padded) == "converted one_colour"
    assert outcome(padded[:-1] + b"\1") == DAMAGED


def test_without_such_a_libtiff_nothing_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiff_fax, "_IS_THERE", False)
    assert outcome(tiff("group4")) == "converted"
