"""The faster PNG decoder makes the same pixels as Pillow, or leaves a file to it."""

from __future__ import annotations

import sys
import zlib
from io import BytesIO

import numpy as np
import pytest
from convert_cases import SAMPLE, encoded, sample_rows
from image_cases import chunk
from image_cases import png as built
from PIL import Image, ImageFile, PngImagePlugin

from convert.errors import ImageError
from convert.images import ImageOptions, render
from convert.images.formats.png import fast_decoder as png

WIDTH, HEIGHT = 24, 16
BOX = (3, 2, 20, 15)
MUTATIONS = 3000


def noise(mode: str) -> Image.Image:
    bands = len(Image.new(mode, (1, 1)).getbands())
    pixels = np.random.default_rng(bands).integers(0, 256, (HEIGHT, WIDTH, bands), np.uint8)
    return Image.fromarray(pixels if bands > 1 else pixels[..., 0], mode)


def files() -> dict[str, bytes]:
    """Returns one file of each kind; those that are for the faster decoder first."""
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Software", "a painting program")
    oriented = PngImagePlugin.PngInfo()
    oriented.add_text("Raw profile type exif", "\nexif\n 8\n4578696600000000\n")
    return {
        "RGB": encoded(noise("RGB"), "PNG"),
        "RGBA": encoded(noise("RGBA"), "PNG"),
        "grey": encoded(noise("L"), "PNG"),
        "with text": encoded(noise("RGB"), "PNG", pnginfo=texts, dpi=(72, 72)),
        "palette": encoded(noise("RGB").quantize(16), "PNG"),
        "grey and alpha": encoded(noise("LA"), "PNG"),
        "one bit": encoded(noise("L").convert("1"), "PNG"),
        "clear colour": encoded(noise("RGB"), "PNG", transparency=(1, 2, 3)),
        "oriented text": encoded(noise("RGB"), "PNG", pnginfo=oriented),
        "animated": encoded(noise("RGB"), "PNG", save_all=True, append_images=[noise("RGB")]),
        "JPEG": encoded(noise("RGB"), "JPEG"),
    }


FILES = files()
PLAIN = list(FILES)[:4]


@pytest.mark.skipif(png.pyspng is None, reason="pyspng is not installed")
@pytest.mark.parametrize("name", FILES)
def test_plain_files_are_decoded_and_others_left(name: str) -> None:
    found = png.plain_pixels(FILES[name])
    assert (found is not None) == (name in PLAIN)
    if found is not None:
        with Image.open(BytesIO(FILES[name])) as expected:
            np.testing.assert_array_equal(found, np.asarray(expected))


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("crop", [None, BOX, (-2, -3, 30, 20)])
def test_records_are_the_same_without_it(
    name: str, crop: tuple[int, int, int, int] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for changes in ({}, {"alpha": "white"}, {"channels": 1}, {"exif": True}, {"fast_decode": True}):
        options = ImageOptions(**{"crop": crop, "size": (9, 7), "pad_crop": True, **changes})
        ours = render(FILES[name], options)
        with monkeypatch.context() as patch:
            patch.setattr(png, "pyspng", None)
            assert render(FILES[name], options) == ours


def test_the_sample_is_the_same_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    options = ImageOptions(crop=(186, 0, 300, 30), size=(128, 32))
    datas = [(SAMPLE / line["path"]).read_bytes() for line in sample_rows()[:300]]
    ours = [render(data, options) for data in datas]
    monkeypatch.setattr(png, "pyspng", None)
    assert [render(data, options) for data in datas] == ours


def refiltered(random: np.random.Generator, channels: int, colour: int) -> bytes:
    """Returns a PNG whose rows have any filter types, some of which do not exist."""
    rows = random.integers(0, 256, (HEIGHT, 1 + WIDTH * channels), np.uint8)
    rows[:, 0] = random.integers(0, 5, HEIGHT)
    if random.random() < 0.2:
        rows[random.integers(HEIGHT), 0] = random.integers(5, 256)
    content = rows.tobytes()
    if random.random() < 0.3:  # too few bytes, or too many
        content = (content + bytes(500))[: len(content) + int(random.integers(-200, 200))]
    stream = zlib.compress(content, int(random.integers(10)))
    if random.random() < 0.2:
        stream = stream[: len(stream) - int(random.integers(1, 300))]
    cut = int(random.integers(len(stream)))
    first = chunk(b"IDAT", stream[:cut])
    return built((WIDTH, HEIGHT), 8, colour, extra=first, stream=stream[cut:])


@pytest.mark.filterwarnings("ignore")  # Pillow warns of oddities of damaged files
def test_odd_files_end_the_same_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pixels or reason: on a machine without the faster decoder they must not be others."""
    random = np.random.default_rng(0)
    options = ImageOptions(crop=None, size=(9, 7), pad_crop=True)
    outcomes = {"image": 0, "error": 0}
    for number in range(MUTATIONS):
        data = refiltered(random, *((1, 0), (3, 2), (4, 6))[number % 3])
        ours = outcome(data, options)
        with monkeypatch.context() as patch:
            patch.setattr(png, "pyspng", None)
            assert outcome(data, options) == ours, number
        outcomes["error" if isinstance(ours, str) else "image"] += 1
    assert min(outcomes.values()) > MUTATIONS // 10, outcomes


def outcome(data: bytes, options: ImageOptions) -> object:
    try:
        return render(data, options)
    except ImageError as error:
        return str(error)


def test_it_is_really_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Were it not, conversion would be slower and nothing else would tell."""
    if sys.platform == "linux" and png.pyspng is not None:
        monkeypatch.setattr(ImageFile.ImageFile, "load", lambda image: pytest.fail("by Pillow"))
    for options in ({}, {"fast_decode": True}):
        render(FILES["RGB"], ImageOptions(crop=BOX, size=(9, 7), **options))


# Header chunks with a right CRC that Pillow refuses, and that libspng overlooks.
MALFORMED = {
    "gAMA of 3 bytes": (b"gAMA", bytes(3)),
    "cHRM of 7 bytes": (b"cHRM", bytes(7)),
    "cHRM of 33 bytes": (b"cHRM", bytes(33)),
    "sRGB of 0 bytes": (b"sRGB", b""),
    "pHYs of 8 bytes": (b"pHYs", bytes(8)),
    "iCCP without its end of the name": (b"iCCP", b"name"),
    "iCCP of an unknown method": (b"iCCP", b"name\0\x01" + zlib.compress(b"profile")),
    "iCCP without a method": (b"iCCP", b"name\0"),
    "a text that turns": (
        b"tEXt",
        b"exif\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0",
    ),
}
# Chunks that both overlook, or that change nothing for either.
WHOLE = {
    "cHRM of 0 bytes": (b"cHRM", b""),
    "cHRM of 4 bytes": (b"cHRM", bytes(4)),
    "gAMA of 5 bytes": (b"gAMA", bytes(5)),
    "sBIT of 0 bytes": (b"sBIT", b""),
    "tIME of 1 byte": (b"tIME", bytes(1)),
    "bKGD of 9 bytes": (b"bKGD", bytes(9)),
    "iCCP that is no profile": (b"iCCP", b"name\0\0profile"),
    "a text without its end of the name": (b"tEXt", b"exif"),
}


@pytest.mark.parametrize("name", {**MALFORMED, **WHOLE})
@pytest.mark.parametrize("is_last", [False, True])  # behind the pixels
def test_a_malformed_chunk_has_one_verdict(
    name: str, is_last: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = FILES["RGB"]
    place = len(data) - 12 if is_last else data.index(b"IDAT") - 4
    data = data[:place] + chunk(*{**MALFORMED, **WHOLE}[name]) + data[place:]
    if png.pyspng is not None:
        assert (png.plain_pixels(data) is None) == (name in MALFORMED)
    options = ImageOptions(crop=BOX, size=(9, 7), exif=True)
    ours = outcome(data, options)
    monkeypatch.setattr(png, "pyspng", None)
    assert outcome(data, options) == ours
