"""Sources become the pixels that they show, or are refused with a reason."""

from collections import Counter
from io import BytesIO

import numpy as np
import pytest
from convert_cases import BOX, ROOT, SAMPLE, SIZE, encoded, png, sample_rows
from image_cases import chunk, outcome
from image_cases import png as built
from PIL import Image

from convert.images import ImageOptions, Rendered, render, to_array

SHARED = ROOT.parent / "shared" / "data"
RED, GREEN, BLUE = [200, 10, 20], [10, 180, 30], [20, 30, 220]
BLACK, WHITE = [0, 0, 0], [255, 255, 255]


def rendered(data: bytes, **options) -> tuple[Rendered, np.ndarray]:
    """Renders a source, without `size` in the size of the box or in its own."""
    left, top, right, bottom = options.get("crop") or (0, 0, *Image.open(BytesIO(data)).size)
    chosen = ImageOptions(**{"crop": None, "size": (right - left, bottom - top), **options})
    result = render(data, chosen)
    return result, to_array(result, chosen)


def dropped_alpha(result: Rendered) -> bool:
    return "dropped_alpha" in result.oddities


def row(data: bytes, **options) -> list:
    """Returns the pixels of the first row of what a source becomes."""
    return rendered(data, **options)[1][0].tolist()


def raw_png(bits: int, colour: int, width: int, pixels: bytes, trns: bytes = b"") -> bytes:
    """Returns a PNG of one row, of a kind that Pillow does not write."""
    extra = chunk(b"tRNS", trns) if trns else b""
    return built((width, 1), bits, colour, b"\0" + pixels, extra=extra)


def palette(**extra) -> bytes:
    """Returns a palette image: entries 0, 1 and 2 are red, green and blue."""
    image = Image.frombytes("P", (3, 1), bytes([0, 1, 2]))
    image.putpalette(RED + GREEN + BLUE)
    return encoded(image, "PNG", **extra)


def of_mode(mode: str, content: list[int], kind: str = "PNG") -> bytes:
    """Returns an image of one row with the given bytes."""
    width = len(content) // Image.getmodebands(mode)
    return encoded(Image.frombytes(mode, (width, 1), bytes(content)), kind)


# The usual two lines of Pillow give the same bits.


def test_every_rgb_and_rgba_source_of_the_sample() -> None:
    options = ImageOptions(crop=BOX, size=SIZE)
    kinds: Counter[tuple[str | None, str]] = Counter()
    for line in sample_rows():
        path = SAMPLE / line["path"]
        with Image.open(path) as image:
            if image.mode not in ("RGB", "RGBA"):
                continue
            kinds[image.format, image.mode] += 1
            expected = np.asarray(image.crop(BOX).resize(SIZE))[..., :3]
        found = to_array(render(path.read_bytes(), options), options)
        assert np.array_equal(found, expected), path
    assert kinds == {("PNG", "RGB"): 820, ("PNG", "RGBA"): 458, ("JPEG", "RGB"): 138}


@pytest.mark.parametrize(
    ("folder", "modes"),
    [
        ("captcha_images_v2", {"RGBA": 1040}),
        ("orand_car_a", {"RGB": 1208}),  # JPEG, of many sizes
    ],
)
def test_every_image_of_a_real_set(folder: str, modes: dict[str, int]) -> None:
    if not (SHARED / folder).is_dir():
        pytest.skip(f"the real images {SHARED / folder} are not here")
    options = ImageOptions(crop=None, size=SIZE)
    seen: Counter[str] = Counter()
    for path in sorted((SHARED / folder).rglob("*.[pj][np]g")):
        with Image.open(path) as image:
            seen[image.mode] += 1
            expected = np.asarray(image.resize(SIZE))[..., :3]
        found = to_array(render(path.read_bytes(), options), options)
        assert np.array_equal(found, expected), path
    assert seen == modes


@pytest.mark.parametrize(
    "resample", ["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]
)
def test_each_filter_is_pillows(resample: str) -> None:
    data, box, size = png((40, 30)), (3, 2, 33, 27), (17, 9)
    part = Image.open(BytesIO(data)).crop(box)
    _, found = rendered(data, crop=box, size=size, resample=resample)
    expected = np.asarray(part.resize(size, Image.Resampling[resample.upper()]))
    np.testing.assert_array_equal(found, expected)


def test_a_box_of_its_own_replaces_that_of_the_options() -> None:
    data, options = png((12, 8)), ImageOptions(crop=(0, 0, 4, 3), size=(4, 3))
    found = to_array(render(data, options, (5, 4, 9, 7)), options)
    whole = np.asarray(Image.open(BytesIO(data)))
    np.testing.assert_array_equal(found, whole[4:7, 5:9])


# Every mode becomes the colours that it shows.


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        pytest.param(palette(), [RED, GREEN, BLUE], id="palette"),
        pytest.param(palette(transparency=1), [RED, GREEN, BLUE], id="one clear entry"),
        pytest.param(
            palette(transparency=bytes([9, 0, 255])), [RED, GREEN, BLUE], id="half-clear entries"
        ),
        pytest.param(of_mode("L", [0, 7, 255]), [BLACK, [7] * 3, WHITE], id="grey"),
        pytest.param(of_mode("LA", [7, 255, 9, 0]), [[7] * 3, [9] * 3], id="grey with alpha"),
        pytest.param(
            raw_png(16, 0, 3, bytes([1, 255, 128, 0, 255, 255])),
            [[1] * 3, [128] * 3, WHITE],  # the high byte, as of 16-bit colour
            id="16-bit grey",
        ),
        pytest.param(
            raw_png(16, 2, 1, bytes([1, 255, 128, 0, 255, 255])), [[1, 128, 255]], id="16-bit RGB"
        ),
        pytest.param(
            encoded(Image.fromarray(np.array([[0x01FF, 0x8000]], ">u2")), "TIFF"),
            [[1] * 3, [128] * 3],
            id="16-bit grey, big-endian",
        ),
        pytest.param(raw_png(1, 0, 4, b"\xa0"), [WHITE, BLACK, WHITE, BLACK], id="1 bit"),
        pytest.param(
            raw_png(8, 2, 2, bytes(RED + GREEN), bytes([0, 200, 0, 10, 0, 20])),
            [RED, GREEN],
            id="RGB with a clear colour",
        ),
        pytest.param(of_mode("RGB", RED, "BMP"), [RED], id="BMP"),
    ],
)
def test_modes(data: bytes, shown: list[list[int]]) -> None:
    assert row(data, resample="nearest") == shown


def test_cmyk_jpeg() -> None:
    data = encoded(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", quality=95)
    assert np.abs(rendered(data)[1].astype(int) - [255, 0, 0]).max() <= 3


@pytest.mark.parametrize(
    ("alpha", "shown", "dropped"),
    [
        ("drop", [RED, GREEN, BLUE], True),
        ("black", [RED, BLACK, [0, 0, 0]], False),
        ("white", [RED, WHITE, [255, 255, 255]], False),
    ],
)
@pytest.mark.parametrize(
    "data",
    [
        pytest.param(palette(transparency=bytes([255, 0, 0])), id="palette"),
        pytest.param(
            of_mode("RGBA", [*RED, 255, *GREEN, 0, *BLUE, 0]),
            id="RGBA",
        ),
    ],
)
def test_alpha(data: bytes, alpha: str, shown: list[list[int]], dropped: bool) -> None:
    result, pixels = rendered(data, alpha=alpha, resample="nearest")
    assert (pixels[0].tolist(), dropped_alpha(result)) == (shown, dropped)


def test_half_transparency_is_mixed_with_the_ground() -> None:
    data = of_mode("RGBA", [200, 100, 0, 51])  # 51 of 255: a fifth
    assert row(data, alpha="black") == [[40, 20, 0]]
    assert row(data, alpha="white") == [[244, 224, 204]]


@pytest.mark.parametrize(
    ("data", "clear", "other"),
    [
        (raw_png(8, 2, 2, bytes(RED + GREEN), bytes([0, 200, 0, 10, 0, 20])), RED, GREEN),
        (raw_png(1, 0, 2, bytes([0b10000000]), bytes([0, 1])), WHITE, BLACK),
        # Two greys with the same high byte; only the first of them is clear.
        (raw_png(16, 0, 2, bytes([18, 52, 18, 53]), bytes([18, 52])), [18] * 3, [18] * 3),
    ],
)
def test_a_clear_colour_is_transparency(data: bytes, clear: list[int], other: list[int]) -> None:
    for alpha, first in (("drop", clear), ("black", BLACK), ("white", WHITE)):
        result, pixels = rendered(data, alpha=alpha, resample="nearest")
        assert pixels[0].tolist() == [first, other]
        assert dropped_alpha(result) == (alpha == "drop")


def test_padding_is_no_transparency_that_was_dropped() -> None:
    opaque = of_mode("RGBA", [*RED, 255])
    options = {"crop": (-1, 0, 1, 1), "pad_crop": True}
    assert not dropped_alpha(rendered(opaque, **options)[0])
    assert not dropped_alpha(rendered(opaque, **{**options, "crop": (5, 5, 6, 6)})[0])
    clear = of_mode("RGBA", [*RED, 0])
    assert dropped_alpha(rendered(clear, **options)[0])


def test_opaque_alpha_and_alpha_outside_the_box_are_no_loss() -> None:
    assert not dropped_alpha(rendered(of_mode("RGBA", [*RED, 255]))[0])
    outside = of_mode("RGBA", [*RED, 255, *GREEN, 0])
    assert not dropped_alpha(rendered(outside, crop=(0, 0, 1, 1))[0])
    assert dropped_alpha(rendered(outside, crop=(1, 0, 2, 1))[0])


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(of_mode("RGB", RED + GREEN), id="RGB"),
        pytest.param(of_mode("RGBA", [*RED, 255, *GREEN, 0]), id="RGBA"),
        pytest.param(palette(), id="palette"),
        pytest.param(of_mode("LA", [7, 255, 9, 0]), id="grey with alpha"),
        pytest.param(raw_png(16, 0, 2, bytes([1, 255, 128, 0])), id="16-bit grey"),
    ],
)
def test_one_channel_is_the_luma_of_three(data: bytes) -> None:
    red, green, blue = np.moveaxis(rendered(data)[1].astype(int), 2, 0)
    _, grey = rendered(data, channels=1)
    assert grey.shape == (*red.shape, 1)
    luma = (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16  # as Pillow rounds it
    np.testing.assert_array_equal(grey[..., 0], luma)


# Boxes


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(of_mode("RGB", RED), id="RGB"),
        pytest.param(palette(), id="palette whose entry 0 is red"),
        pytest.param(of_mode("RGBA", [*RED, 255]), id="RGBA"),
        pytest.param(raw_png(8, 2, 1, bytes(RED), bytes(6)), id="black is the clear colour"),
    ],
)
@pytest.mark.parametrize("alpha", ["drop", "black", "white"])
def test_padding_is_black(data: bytes, alpha: str) -> None:
    found = row(data, crop=(-1, 0, 1, 2), pad_crop=True, alpha=alpha)
    assert found == [BLACK, RED]


@pytest.mark.parametrize(
    "box",
    [
        (0, 0, 13, 8),  # each side by one pixel
        (0, 0, 12, 9),
        (-1, 0, 12, 8),
        (0, -1, 12, 8),
        (20, 20, 24, 24),  # nowhere near
    ],
)
def test_a_box_that_leaves_the_image(box: tuple[int, int, int, int]) -> None:
    words = " ".join(map(str, box))
    assert outcome(png(), crop=box) == f"box_outside: the box {words} reaches past the image, 12x8"


def test_a_box_may_touch_every_edge() -> None:
    np.testing.assert_array_equal(rendered(png(), crop=(0, 0, 12, 8))[1], rendered(png())[1])
