"""JPEGs are judged: what libjpeg warns of is damage, unless it says nothing of the pixels."""

from __future__ import annotations

import struct
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import numpy as np
import pytest
import simplejpeg
from convert_cases import encoded
from image_cases import jpeg, outcome, picture, reason, rendered
from PIL import Image, features

from convert.images import ImageOptions, render, to_array
from convert.images.formats.jpeg.jpeg_format import JpegFormat

TURBO = pytest.mark.skipif(
    not features.check("libjpeg_turbo"), reason="Pillow was built with another libjpeg"
)
SIZES = [(1, 1), (7, 9), (8, 8), (15, 17), (33, 34), (100, 75), (1, 16), (16, 1)]
SOF = b"\xff\xc0"


def seg(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def after_soi(data: bytes, *segments: bytes) -> bytes:
    return data[:2] + b"".join(segments) + data[2:]


def as_process(marker: int, data: bytes | None = None) -> bytes:
    return (data or jpeg()).replace(SOF, bytes((0xFF, marker)), 1)


def with_frame(place: int, content: bytes) -> bytes:
    """Returns a JPEG with other bytes in its frame header, counted from the precision."""
    data = jpeg()
    start = data.index(SOF) + 4 + place
    return data[:start] + content + data[start + len(content) :]


def hole(data: bytes, start: float, stop: float, fill: bytes = b"\0") -> bytes:
    first, last = int(len(data) * start), int(len(data) * stop)
    return data[:first] + fill * (last - first) + data[last:]


def cut_scans(data: bytes, kept: int) -> bytes:
    """Returns a JPEG of several scans with the first ones only, and its end marker."""
    at = -1
    for _ in range(kept + 1):
        at = data.index(b"\xff\xda", at + 1)
    tables = data.rfind(b"\xff\xc4", 0, at)  # the next scan's tables go with it
    return data[: tables if tables > data.rfind(b"\xff\xda", 0, at) else at] + b"\xff\xd9"


# The pixels are Pillow's.


@TURBO
@pytest.mark.parametrize("sampling", ["444", "422", "420", "440", "411", "Gray"])
def test_each_subsampling_has_pillows_pixels(sampling: str) -> None:
    for width, height in SIZES:
        pixels = np.ascontiguousarray(picture(width, height))
        data = simplejpeg.encode_jpeg(pixels, 85, "RGB", sampling)
        _same_as_pillow(data)


@TURBO
@pytest.mark.parametrize(
    "options",
    [
        {"progressive": True},
        {"optimize": True},
        {"quality": 1},
        {"quality": 100},
        {"keep_rgb": True},  # Adobe transform 0
        {"restart_marker_rows": 1},
    ],
)
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_each_process_has_pillows_pixels(mode: str, options: dict) -> None:
    for size in SIZES:
        _same_as_pillow(jpeg(mode, size, **options))


def _same_as_pillow(data: bytes) -> None:
    image = Image.open(BytesIO(data))
    found = JpegFormat().decode(image, data, full_size=image.size, lenient=False)
    assert found.pixels is not None
    np.testing.assert_array_equal(found.pixels, np.asarray(image))


@TURBO
@pytest.mark.parametrize("scale", [2, 4, 8])
@pytest.mark.parametrize("size", [(640, 480), (301, 203), (65, 9), (20, 20), (3, 3)])
def test_reduced_scales_have_pillows_pixels(size: tuple[int, int], scale: int) -> None:
    data = jpeg(size=size)
    options = ImageOptions(
        crop=None, size=(-(-size[0] // scale), -(-size[1] // scale)), fast_decode=True
    )
    with Image.open(BytesIO(data)) as image:
        image.draft(None, options.size)
        expected = np.asarray(image.resize(options.size, box=_box(size, image.size)))
    np.testing.assert_array_equal(to_array(render(data, options), options), expected)


def _box(size: tuple[int, int], reduced: tuple[int, int]) -> tuple[float, float, float, float]:
    scale = next(
        s for s in (1, 2, 4, 8) if -(-size[0] // s) == reduced[0] and -(-size[1] // s) == reduced[1]
    )
    return 0, 0, size[0] / scale, size[1] / scale


@pytest.mark.parametrize("box", [(3, 2, 40, 31), (0, 0, 64, 48), (-3, -4, 70, 50)])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_crops_are_pillows(mode: str, box: tuple[int, int, int, int]) -> None:
    data = jpeg(mode)
    with Image.open(BytesIO(data)) as image:
        expected = image.convert("RGB").crop(box).resize((20, 12)).tobytes()
    assert rendered(data, crop=box, size=(20, 12), pad_crop=True).content == expected


# Damage

PROGRESSIVE = jpeg(progressive=True)
RESTARTS = jpeg(restart_marker_rows=1)
NOISE = np.random.default_rng(1).integers(0, 255, 400, np.uint8).tobytes()
DAMAGED = {
    "hole in the middle": hole(jpeg(), 0.5, 0.7),
    "hole at the end": hole(jpeg(), 0.6, 1)[:-2] + b"\xff\xd9",
    "hole of ones": hole(jpeg(), 0.5, 0.7, b"\xfe"),
    "a part cut out": jpeg()[:-900] + jpeg()[-500:],
    "noise": jpeg()[:1000] + NOISE + jpeg()[1400:],
    "an end marker too early": jpeg()[: len(jpeg()) // 2] + b"\xff\xd9",
    "grey with a hole": hole(jpeg("L"), 0.5, 0.8),
    "progressive with a hole": hole(PROGRESSIVE, 0.4, 0.6),
    "progressive that ends between scans": cut_scans(PROGRESSIVE, 4),
    "progressive without its last scan": cut_scans(PROGRESSIVE, 9),
    "restart markers swapped": RESTARTS.replace(b"\xff\xd0", b"\xff\xd3", 1),
    "CMYK with a hole": hole(jpeg("CMYK"), 0.5, 0.7),
}


@pytest.mark.parametrize("name", DAMAGED)
@pytest.mark.parametrize("fast", [False, True])
def test_damage_is_refused_unless_lenient(name: str, fast: bool) -> None:
    data = DAMAGED[name]
    options = {"fast_decode": fast, "size": (16, 12) if fast else (64, 48)}
    found = outcome(data, **options)
    assert found.startswith(("damaged: the JPEG", "truncated: the JPEG")), found
    assert outcome(data, **options, lenient=True).split()[:2] == ["converted", "damaged_kept"]
    again = [rendered(data, **options, lenient=True).content for _ in range(3)]
    assert again == again[:1] * 3


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("missing", [3, 40, 300])
def test_a_file_that_was_cut_off_is_truncated(mode: str, progressive: bool, missing: int) -> None:
    data = jpeg(mode, progressive=progressive)[:-missing]
    assert reason(data) == "truncated"
    assert outcome(data, lenient=True) == "converted damaged_kept"


def test_progressive_cut_between_scans_without_an_end_marker() -> None:
    assert (
        outcome(cut_scans(PROGRESSIVE, 5)[:-2]) == "truncated: the JPEG ends before its last scan"
    )


# No damage


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("missing", [1, 2])
def test_a_missing_end_marker_is_counted(mode: str, progressive: bool, missing: int) -> None:
    data = jpeg(mode, progressive=progressive)
    assert outcome(data[:-missing]) == "converted no_end_marker"
    assert rendered(data[:-missing]).content == rendered(data).content


HARMLESS = {
    "a JFIF version of the future": jpeg().replace(b"JFIF\0\1\1", b"JFIF\0\3\1"),
    "a profile in no order": after_soi(jpeg(), seg(0xE2, b"ICC_PROFILE\0\0\1aaa")),
    "a profile of which a part is missing": after_soi(jpeg(), seg(0xE2, b"ICC_PROFILE\0\1\2aaa")),
    "two that libjpeg remarks on": after_soi(
        jpeg().replace(b"JFIF\0\1\1", b"JFIF\0\3\1"), seg(0xE2, b"ICC_PROFILE\0\2\1aaa")
    ),
    "an unknown Adobe transform": after_soi(jpeg(), seg(0xEE, b"Adobe\0\x64\0\0\0\0\x09")),
    "the same without JFIF": after_soi(
        jpeg().replace(jpeg()[2:20], b"", 1), seg(0xEE, b"Adobe\0\x64\0\0\0\0\x09")
    ),
    "a comment": after_soi(jpeg(), seg(0xFE, b"\0\0\xff\xff\0")),
    "bytes after the end": jpeg() + b"xyz" * 1000,
    "another picture after the end": jpeg() + hole(jpeg(), 0.3, 0.6),
    **{f"{n} zeros before the end": jpeg()[:-2] + bytes(n) + b"\xff\xd9" for n in (1, 2, 5, 500)},
    **{f"{n} fill bytes": jpeg()[:-2] + b"\xff" * n + b"\xff\xd9" for n in (1, 2, 5)},
    "zeros and fill bytes": jpeg()[:-2] + b"\0\0\0\xff\xff\0\0\xff\xff\xff\xd9",
    "zeros before a scan": PROGRESSIVE[: (at := PROGRESSIVE.rindex(b"\xff\xc4"))]
    + bytes(9)
    + PROGRESSIVE[at:],
    "zeros before a restart marker": RESTARTS.replace(b"\xff\xd1", bytes(9) + b"\xff\xd1", 1),
}


@pytest.mark.parametrize("name", HARMLESS)
def test_what_says_nothing_of_the_pixels_is_no_damage(name: str) -> None:
    plain = {"zeros before a scan": PROGRESSIVE, "zeros before a restart marker": RESTARTS}
    assert outcome(HARMLESS[name]) == "converted"
    assert rendered(HARMLESS[name]).content == rendered(plain.get(name, jpeg())).content


def test_remarks_on_the_header_do_not_hide_a_hole() -> None:
    data = hole(HARMLESS["two that libjpeg remarks on"], 0.5, 0.7)
    assert reason(data) == "damaged"
    assert reason(HARMLESS["a JFIF version of the future"][:-300]) == "truncated"


@pytest.mark.parametrize("missing", range(3, 60, 3))
def test_a_hole_at_the_end_does_not_pass_for_padding(missing: int) -> None:
    data = jpeg(quality=95)
    assert reason(data[: -2 - missing] + bytes(missing) + b"\xff\xd9") == "damaged"


@pytest.mark.parametrize(
    ("mode", "quality", "missing"), [("RGB", 75, 3), ("RGB", 85, 8), ("L", 95, 25)]
)
def test_a_hole_of_which_libjpeg_says_nothing(mode: str, quality: int, missing: int) -> None:
    """A few bytes left over in its buffer are not worth a warning to it."""
    data = jpeg(mode, quality=quality)
    holed = data[: -2 - missing] + bytes(missing) + b"\xff\xd9"
    simplejpeg.decode_jpeg(holed, "RGB" if mode == "RGB" else "GRAY", strict=True)
    assert outcome(holed) == "damaged: the JPEG: bytes are left over where a scan should end"


@pytest.mark.parametrize("grey", [0, 130, 255])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_blank_page_may_end_in_zeros(mode: str, grey: int) -> None:
    """Its shortest codes are zeros, and now and then the last one fills its byte."""
    for width in range(8, 330, 8):
        image = Image.new("L", (width, 40), grey).convert(mode)
        found = outcome(encoded(image, "JPEG", optimize=True), size=(4, 4), fit="pad")
        assert found.startswith("converted"), width


# Other processes


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (with_frame(0, b"\x0c"), "JPEG of 12 bits a value"),
        (as_process(0xC3), "lossless JPEG"),
        (as_process(0xF7), "JPEG-LS"),
        (as_process(0xC5), "hierarchical JPEG"),
        (with_frame(1, b"\0\0"), "JPEG whose height comes after its pixels (DNL)"),
    ],
)
def test_a_process_that_cannot_be_read_is_no_damage(data: bytes, kind: str) -> None:
    assert outcome(data) == (
        f"unsupported_here: a {kind}, which the JPEG decoders here cannot read; "
        "save it as a usual JPEG or PNG"
    )


def test_cmyk_without_a_marker_is_counted() -> None:
    data = jpeg("CMYK")
    start = data.index(b"\xff\xee")
    unmarked = data[:start] + data[start + 2 + int.from_bytes(data[start + 2 : start + 4]) :]
    assert outcome(data) == "converted"
    assert outcome(unmarked) == "converted cmyk_unmarked"


def test_several_threads_judge_each_its_own() -> None:
    files = [jpeg(size=(200, 150)), hole(jpeg(size=(200, 150)), 0.5, 0.7)] * 40
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(reason, files)) == ["converted", "damaged"] * 40
