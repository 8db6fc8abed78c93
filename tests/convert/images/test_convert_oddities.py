"""Sources that are odd but no error: a line each in the summary, with a count and an example."""

from __future__ import annotations

import json
import struct
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from convert_cases import command, encoded, write_manifest
from image_cases import chunk, jpeg, needs_webp, outcome, picture, png
from PIL import Image

from convert.images.oddities import ODDITIES, Sighting, oddity_lines
from convert.images.pixels.looks import look_of, shape_of


def seen(**counts: int) -> dict:
    return {o: Sighting(count=n, row=0, path="a.png") for o, n in counts.items()}


def lines(num_sources: int, **counts: int) -> list[str]:
    return oddity_lines(seen(**counts), exif=False, num_sources=num_sources)


# Looks


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("encoding", ["raw", "png", "jpeg"])
def test_one_colour(channels: int, encoding: str) -> None:
    options = {"channels": channels, "encoding": encoding}
    for colour in ((255, 255, 255), (0, 0, 0), (7, 200, 9)):
        data = encoded(Image.new("RGB", (64, 48), colour), "PNG")
        assert outcome(data, **options) == "converted one_colour"
    spot = Image.new("RGB", (64, 48), (250, 250, 250))
    spot.putpixel((63, 47), (0, 0, 0))
    assert outcome(encoded(spot, "PNG"), **options) == "converted"


def test_one_colour_is_judged_inside_the_crop() -> None:
    image = picture()
    image.paste((90, 90, 90), (10, 10, 30, 30))
    data = encoded(image, "PNG")
    assert outcome(data) == "converted"
    assert outcome(data, crop=(12, 12, 28, 24)) == "converted one_colour"


@pytest.mark.parametrize(("brightest", "look"), [(31, "nearly_black"), (32, None), (255, None)])
def test_nearly_black_means_that_nothing_is_above_31(brightest: int, look: str | None) -> None:
    for place in (0, 5, 4000, 9215):
        pixels = np.full(64 * 48 * 3, 3, np.uint8)
        pixels[place] = brightest
        assert look_of(pixels.tobytes(), 3) == look


@pytest.mark.parametrize("size", [1, 2, 3, 7, 61, 62, 122])
def test_looks_of_small_images(size: int) -> None:
    assert look_of(bytes([9, 8, 7]) * size, 3) == "one_colour"
    assert look_of(bytes([9, 8, 7]) * size + bytes([9, 8, 6]), 3) == "nearly_black"
    assert look_of(bytes([9, 8, 7]) * size + bytes([9, 8, 99]), 3) is None


# Bits


def sixteen(colour: int, highest: int, alpha: bool = False) -> bytes:
    channels = {0: 1, 2: 3, 4: 2, 6: 4}[colour]
    values = np.random.default_rng(0).integers(0, highest + 1, (48, 64, channels))
    values[5, 5, 0] = highest
    if alpha:
        values[..., -1] = 65535
    content = values.astype(">u2").tobytes()
    row = 64 * channels * 2
    return png((64, 48), 16, colour, b"".join(
        b"\0" + content[y * row : (y + 1) * row] for y in range(48)
    ))  # fmt: skip


@pytest.mark.parametrize("colour", [0, 2, 4, 6])
def test_sixteen_bits_of_which_twelve_are_used(colour: int) -> None:
    alpha = colour in (4, 6)
    assert outcome(sixteen(colour, 4095, alpha)) == "converted few_bits nearly_black"
    assert "few_bits" not in outcome(sixteen(colour, 4096, alpha))
    assert "few_bits" not in outcome(sixteen(colour, 65535, alpha))
    assert outcome(sixteen(colour, 0, alpha)) == "converted one_colour"  # which says it better


def test_twelve_bits_outside_the_crop_count_too() -> None:
    """A dark part of a picture that uses 16 bits is a dark part, and no more."""
    values = np.full((48, 64), 900, np.uint16)
    values[40:, :] = 65000
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    data = png((64, 48), 16, 0, rows)
    assert "few_bits" not in outcome(data, crop=(0, 0, 64, 30))


@pytest.mark.parametrize("order", ["<", ">"])
def test_twelve_bits_in_a_tiff(order: str) -> None:
    values = np.random.default_rng(0).integers(0, 4096, (48, 64)).astype(f"{order}u2")
    assert "few_bits" in outcome(encoded(Image.fromarray(values), "TIFF"))
    assert "few_bits" not in outcome(encoded(Image.fromarray(values * 16), "TIFF"))
    assert "few_bits" not in outcome(encoded(picture(), "TIFF"))


# Pages


def pages(kind: str, num_pages: int, **options) -> bytes:
    images = [picture().rotate(90 * number) for number in range(num_pages)]
    return encoded(images[0], kind, save_all=True, append_images=images[1:], **options)


@pytest.mark.parametrize("kind", ["TIFF", "GIF", "PNG", pytest.param("WEBP", marks=needs_webp)])
def test_further_pages_and_frames(kind: str) -> None:
    assert outcome(pages(kind, 1)) == "converted"
    assert outcome(pages(kind, 2)) == "converted further_pages"
    assert outcome(pages(kind, 5)) == "converted further_pages"
    assert outcome(pages(kind, 3), fast_decode=True) == "converted further_pages"


def test_previews_are_no_pages() -> None:
    data = pages("TIFF", 2, tiffinfo={254: 1})
    assert outcome(data) == "converted"
    buffer = BytesIO()
    picture().save(buffer, "MPO", save_all=True, append_images=[picture(16, 12)])
    assert outcome(buffer.getvalue()) == "converted"


@pytest.mark.parametrize("further", [(64, 48), (48, 64), (80, 60)])
def test_further_pictures_of_a_camera(further: tuple[int, int]) -> None:
    buffer = BytesIO()
    pictures = [picture(16, 12), picture(*further)]
    picture().save(buffer, "MPO", save_all=True, append_images=pictures)
    data = buffer.getvalue()
    assert outcome(data).split()[:2] == ["converted", "further_pages"]
    small = {"size": (16, 12), "fast_decode": True}  # decoded at a reduced scale
    assert outcome(data, **small) == "converted further_pages"
    index = data.index(b"MPF\0") + 4
    preview = bytearray(data)
    struct.pack_into("<I", preview, index + 50 + 2 * 16, 0x010002)  # the third is for television
    assert outcome(bytes(preview)) == "converted"


def test_a_damaged_index_of_pictures_does_not_matter() -> None:
    buffer = BytesIO()
    picture().save(buffer, "MPO", save_all=True, append_images=[picture()])
    data = bytearray(buffer.getvalue())
    start = data.index(b"MPF\0") + 12
    data[start : start + 30] = b"\xff" * 30
    assert outcome(bytes(data)) == "converted"


def test_a_damaged_second_page_does_not_matter() -> None:
    data = pages("GIF", 2)
    assert outcome(data[:-200]).startswith("converted")


# Shapes


@pytest.mark.parametrize(
    ("shape", "size", "odd"),
    [
        ((150, 100), (100, 100), ()),  # by exactly 1.5
        ((151, 100), (100, 100), ("other_shape",)),
        ((100, 151), (100, 100), ("other_shape",)),
        ((40, 16), (16, 40), ("other_shape", "turned_shape")),
        ((16, 40), (40, 16), ("other_shape", "turned_shape")),
        ((160, 16), (40, 16), ("other_shape",)),
        ((114, 30), (128, 32), ()),
        ((11, 10), (10, 11), ()),  # hardly another shape
    ],
)
def test_shapes(shape: tuple[int, int], size: tuple[int, int], odd: tuple[str, ...]) -> None:
    assert shape_of(shape, size) == odd


def test_the_crop_counts_and_padding_does_not() -> None:
    data = encoded(picture(100, 20), "PNG")
    assert outcome(data, size=(20, 20)) == "converted other_shape"
    assert outcome(data, size=(20, 20), crop=(0, 0, 20, 20)) == "converted"
    assert outcome(data, size=(20, 20), fit="pad") == "converted"
    assert outcome(data, size=(20, 100), fit="pad") == "converted turned_shape"  # W and H swapped
    assert outcome(jpeg(size=(640, 160)), size=(20, 20), fast_decode=True).endswith("other_shape")


def test_only_what_most_sources_have_is_said() -> None:
    other = (
        "warning: 6 images had another shape than --size by a factor of more than 1.5 and got "
        "distorted; --fit pad would keep the proportions (such as a.png)"
    )
    turned = (
        "warning: 7 images had another shape than --size, lying instead of upright or upright "
        "instead of lying: are W and H of --size the wrong way round? (such as a.png)"
    )
    assert lines(12, other_shape=6) == []
    assert lines(11, other_shape=6) == [other]
    assert lines(11, other_shape=6, turned_shape=5) == [other]
    assert lines(11, other_shape=8, turned_shape=7) == [turned]


# Lines


def test_each_kind_has_a_line() -> None:
    for oddity in ODDITIES:
        found = lines(1, **{oddity: 1})
        start = "1 path was found " if oddity.startswith("spelled") else "warning: 1 image had "
        assert len(found) == 1 and found[0].startswith(start)
        assert found[0].endswith(" (such as a.png)")


def test_the_summary_of_a_conversion(tmp_path: Path) -> None:
    files = {
        "plain.png": encoded(picture(), "PNG"),
        "blank.png": encoded(Image.new("L", (64, 48), 255), "PNG"),
        "dark.png": encoded(picture().point(lambda value: value // 9), "PNG"),
        "pages.tif": pages("TIFF", 3),
        "twelve.png": sixteen(0, 4095),
        "cut.jpg": jpeg()[:-2],
        "hole.jpg": jpeg()[:1200] + bytes(300) + jpeg()[1500:],
        "bare.jpg": _without_adobe(jpeg("CMYK")),
        "text.png": _with_text(encoded(picture(), "PNG")),
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    rows = [[name, number % 2] for number, name in enumerate(files)]
    write_manifest(tmp_path / "m.csv", ["path", "y0"], rows)
    words = ["m.csv", "out", "--size", 64, 48, "--split", "train=1", "--lenient", "--json"]
    done = command(*words, cwd=tmp_path)
    assert done.returncode == 0
    assert "9 records (train 9), 0 rows left out" in done.stderr
    expected = [
        "1 image had one colour only, inside the crop (such as blank.png)",
        "2 images had no value above 31 of 255 inside the crop: nearly black (such as dark.png)",
        "1 image had further pages or frames, which were left out: only the first was taken "
        "(such as pages.tif)",
        "1 image had 16 bits a value but used 12 or fewer, of which only the upper 8 of 16 were "
        "kept: too dark; multiply such values before the conversion (such as twelve.png)",
        "1 image had CMYK colours without Adobe's marker, taken to be inverted as Adobe's are "
        "(such as bare.jpg)",
        "1 image had no end marker, though all rows were there (such as cut.jpg)",
        "1 image had damage, and went in because of --lenient (such as hole.jpg)",
    ]
    warnings = [line for line in done.stderr.splitlines() if "warning: " in line]
    assert [f"convert: warning: {line}" for line in expected] == [
        line for line in warnings if "identical" not in line
    ]
    assert json.loads(done.stdout.splitlines()[-1])["oddities"] == {
        "one_colour": 1, "nearly_black": 2, "further_pages": 1, "few_bits": 1,
        "cmyk_unmarked": 1, "no_end_marker": 1, "damaged_kept": 1,
    }  # fmt: skip


def _without_adobe(data: bytes) -> bytes:
    start = data.index(b"\xff\xee")
    return data[:start] + data[start + 2 + struct.unpack_from(">H", data, start + 2)[0] :]


def _with_text(data: bytes) -> bytes:
    return data[:33] + chunk(b"tEXt", b"Comment\0" + b"a" * 70_000) + data[33:]
