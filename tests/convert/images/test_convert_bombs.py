"""Small files that would take long, or much memory, are refused before they are decoded."""

import struct
import subprocess
import sys
import tracemalloc
import zlib
from io import BytesIO
from types import SimpleNamespace

import numpy as np
import pytest
from bomb_cases import (
    BOMBS,
    EXIF_TAG,
    GREY,
    INTEROP_TAG,
    SHARED_SAID,
    bmp,
    coded_tiff,
    exif,
    gif,
    jpeg_exif,
    jpeg_with,
    mpf,
    png,
    scans,
    tiff,
    tiff_directory,
)
from convert_cases import ALL, convert, encoded, write_manifest
from fault_cases import quarantine
from image_cases import chunk, jpeg, picture
from PIL import Image, ImageFile

from convert.errors import ImageError
from convert.images import ImageOptions, render
from convert.images.formats.jpeg import segments
from convert.images.formats.jpeg.scans import check_scans, count_scans
from convert.images.formats.jpeg.segments import MOST_SEGMENTS, header_segments, without_padding
from convert.images.formats.jpeg.zeros import is_zeroed
from convert.images.formats.png.chunks import without_texts
from convert.images.formats.tag_directories import first_page, next_page
from convert.images.formats.tiff import tiff_format

OPTIONS = ImageOptions(crop=None, size=(8, 8))


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_before_a_pixel_is_decoded_and_takes_little_memory(name, monkeypatch):
    make, message = BOMBS[name]
    data = make()

    def refuse(*_):
        raise AssertionError("decoded")

    # What stands after the pixels is found there, and the pixels are few.
    if message.startswith("too_large") and message != SHARED_SAID and name != "a column":
        monkeypatch.setattr(ImageFile.ImageFile, "load_prepare", refuse)
    tracemalloc.start()  # of Python only, which copies what tags name
    with pytest.raises(ImageError) as caught:
        render(data, OPTIONS)
    assert str(caught.value) == message
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16 << 20


@pytest.mark.parametrize(
    ("data", "options"),
    [
        (jpeg_with(b"\xff\xfe\0\2" * 9_000), OPTIONS),
        (jpeg_with(b"\0" * 100_000), OPTIONS),
        (jpeg_exif(exif(100, 60_000)), OPTIONS),  # damaged tags, as some editors leave them
        (png(chunk(b"eXIf", exif(100, 60_000))), OPTIONS),
        (png(chunk(b"abCd", b"") * 50_000), OPTIONS),
        (tiff((8, 5_000), 1, b"\7" * 8), OPTIONS),  # what is all one colour may be stored once
        (gif(b"\x21\xfe" + (b"\xff" + b"a" * 255) * 2_000 + b"\0"), OPTIONS),
        (gif(b"") + b"\x21\xf9\4\0\0\0\0\0" * 200_000, OPTIONS),  # nobody reads after its end
        (tiff_directory(EXIF_TAG, 400, 7), OPTIONS),  # bytes as they are
        (tiff_directory(EXIF_TAG, 20, 5), OPTIONS),
        (tiff_directory(INTEROP_TAG, 20, 5, inner=True), OPTIONS),
        # Pillow ignores how many bytes an uncompressed strip claims.
        (tiff((20, 10), 10, bytes(200), claimed=4096), OPTIONS),
        (tiff((20, 10), 10, bytes(200), claimed=0xFFFFFFFF), OPTIONS),
        (bmp((64, 64), (b"\1\5" * 64 + b"\0\0") * 64 + b"\0\1"), OPTIONS),
        (jpeg("RGB", (64, 48), progressive=True), OPTIONS),
    ],
)
def test_what_is_merely_unusual_is_an_image(data, options):
    render(data, options)


def test_what_libtiff_decodes_may_be_unusual():
    render(coded_tiff((64, 64), 64, jpeg("L", (64, 64)), 7), OPTIONS)
    render(coded_tiff((64, 64), 64, jpeg("L", (64, 64), progressive=True), 7), OPTIONS)
    # The last strip has the rows of the others, though the image ends before.
    render(coded_tiff((64, 70), 60, zlib.compress(bytes(range(64)) * 60), 8), OPTIONS)


@pytest.mark.filterwarnings("ignore")  # as in use; else the first would end the decoding
def test_the_index_of_a_camera_is_not_decoded_if_its_tags_share_values():
    data = mpf(1000)
    tracemalloc.start()
    render(data, OPTIONS)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16 << 20


def test_a_directory_that_the_file_cuts_off_is_damage():
    pixels = struct.pack("<H", 7452).ljust(60_000, b"\x07")
    data = tiff((200, 300), 300, pixels)
    at = len(data) - len(pixels)
    for room, reason in ((60_000, "damaged"), (90_000, "too_large")):
        broken = data[:4] + struct.pack("<I", at) + data[8:].ljust(room + at - 8, b"\x07")
        with pytest.raises(ImageError) as caught:
            render(broken, OPTIONS)
        assert caught.value.reason == reason


def test_each_page_is_checked_once(monkeypatch):
    pages = [Image.new("L", (17, 16))] * 3  # of odd widths, which are taken for previews' flags
    file = BytesIO()
    pages[0].save(file, "TIFF", save_all=True, append_images=pages[1:])
    data = file.getvalue()
    starts = [first_page(data)]
    while start := next_page(data, starts[-1]):
        starts.append(start)
    assert len(starts) == 3
    checked = []
    monkeypatch.setattr(tiff_format, "check_page", lambda _, start: checked.append(start))
    monkeypatch.setattr(tiff_format, "Tag", SimpleNamespace(SUBFILE_TYPE=256))
    assert not tiff_format.TiffFormat().has_further_pages(Image.open(BytesIO(data)), data)
    assert checked == starts[1:]


def test_a_column_of_an_honest_height_is_resized():
    render(tiff((1, 100_000), 100_000, bytes(100_000)), OPTIONS)
    padded = ImageOptions(crop=None, size=(8, 8), fit="pad")
    render(tiff((1, 7_000_000), 7_000_000, bytes(7_000_000)), padded)  # one column is enough


def test_a_box_is_no_larger_than_an_image_may_be():
    options = ImageOptions(crop=None, size=(8, 8), pad_crop=True, max_pixels=1000)
    data = png(b"")
    render(data, options, (-10, 0, 20, 33))
    with pytest.raises(ImageError) as caught:
        render(data, options, (-10, 0, 20, 34))
    assert str(caught.value) == "too_large: the box, 30x34, is more than 1000 pixels"


def test_segments_of_no_scan_are_not_gone_through(monkeypatch):
    """They were, one by one, where a file holds zeros at all."""
    plain = jpeg("L", (64, 64))
    data = plain[:-2] + b"\xff\xfe\0\x30" + bytes(46) + b"\xff\xe0\0\2" * 100_000 + plain[-2:]
    looked_at = []

    def counted(*where):
        for segment in header_segments(*where):
            looked_at.append(segment)
            yield segment

    monkeypatch.setattr(segments, "header_segments", counted)
    assert not is_zeroed(data)
    assert len(looked_at) < 3 * MOST_SEGMENTS


def test_a_run_of_zeros_is_looked_at_once():
    """A run once took the square of its length."""
    hole = jpeg("L", (300, 300))[:-2] + bytes(300_000) + b"\x11\x11\xff\xd9"
    program = (
        "import sys; from convert.images import ImageOptions, render\n"
        "try: render(sys.stdin.buffer.read(), ImageOptions(crop=None, size=(8, 8)))\n"
        "except Exception as error: print(error)"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, input=hole, capture_output=True, timeout=60, check=True)
    said = "damaged: the JPEG: bytes are left over where a scan should end\n"
    assert done.stdout.decode() == said


@pytest.mark.parametrize(
    ("padded", "plain"),
    [
        (b"\0\0\xff\xd9", b"\xff\xd9"),
        (b"\xff\0\0\xff\xd9", b"\xff\0\xff\xd9"),  # a value of 255
        (b"a\xff\xff\xff\xd0b\0\xff\xd1\0c", b"a\xff\xd0b\xff\xd1\0c"),
        (b"\0\0\x11\xff\xd9", b"\0\0\x11\xff\xd9"),  # they may be data
        (b"\0\xff\xfe", b"\0\xff\xfe"),  # no marker that follows data
        (b"\0\0\xff\0\xff\xc4\0", b"\xff\xc4\0"),
        (b"\xff\xd9", b"\xff\xd9"),
    ],
)
def test_padding_by_hand(padded, plain):
    head = b"\xff\xd8\xff\xda\0\2"
    assert without_padding(head + padded) == head + plain


def test_the_scans_of_what_a_decoder_reads_are_counted():
    plain = jpeg("L", (16, 16), progressive=True)
    assert count_scans(plain, 100) == 6
    assert count_scans(plain, 4) == 4
    assert count_scans(plain + plain, 100) == 6  # what follows its end is another picture
    tables = b"\xff\xc4\0\2\xff\xd9\0\4\0\0"  # and an end after them
    scan = b"\xff\xda\0\2"
    assert count_scans(plain + b"\0\0" + scan * 3, 100) == 6
    assert count_scans(b"\xff\xd8" + scan + tables + scan * 3 + b"\xff", 100) == 1
    comment = b"\xff\xfe\0\6\xff\xda\xff\xda"
    assert count_scans(jpeg_with(comment), 100) == 1
    assert count_scans(b"\xff\xd8\xff\xd8\xff\xd8", 100) == 0
    assert count_scans(b"\xff\xd8" + b"\xff\xda\0\2" * 50 + b"\xff", 100) == 50
    # After so many segments nobody counts on.
    assert count_scans(b"\xff\xd8" + b"\xff\xfe\0\2" * 10_001 + scan * 2, 100) == 100


@pytest.mark.parametrize(
    ("count", "num_pixels", "max_pixels"),
    [(500, 256, 50_000_000), (32, 256, 256), (32, 256, 511), (64, 256, 512), (32, 512, 256)],
)
def test_smaller_images_may_have_more_scans(count, num_pixels, max_pixels):
    check_scans(scans(count), num_pixels, max_pixels)
    with pytest.raises(ImageError, match=f"^too_large: a JPEG of more than {count} scans;"):
        check_scans(scans(count + 1), num_pixels, max_pixels)


def test_fill_bytes_between_segments_are_passed_over():
    plain = jpeg("L", (16, 16))
    filled = plain[:2] + b"\0\0\xff\xff\0" + b"\xff\xff" + plain[2:]
    expected = [(marker, start + 7, stop + 7) for marker, start, stop in header_segments(plain)]
    assert list(map(tuple, header_segments(filled))) == expected


def test_profiles_beyond_the_first_are_not_inflated(monkeypatch):
    profile = chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(900_000)))
    inflated = []
    monkeypatch.setattr(
        "PIL.PngImagePlugin._safe_zlib_decompress", lambda s: inflated.append(1) or b""
    )
    render(png(profile * 3, "LA"), OPTIONS)
    assert not inflated
    render(png(profile, "LA"), OPTIONS)
    assert inflated == [1]


def test_a_text_is_inflated_at_one_place(monkeypatch):
    calls = []
    inflate = zlib.decompressobj
    monkeypatch.setattr(zlib, "decompressobj", lambda: calls.append(1) or inflate())
    name = b"Raw profile type exif"
    texts = [
        chunk(b"tEXt", name + b"\0" + b"\x78\x01" * 1000),
        chunk(b"zTXt", name + b"\0\0" + b"\x78\x01" * 1000),
        chunk(b"iTXt", name + b"\0\1\0\0\0" + b"\x78\x01" * 1000),
    ]
    data = png(b"".join(texts))
    assert without_texts(data) == data
    assert len(calls) == 2


def test_a_conversion_goes_on_without_bombs(tmp_path):
    (tmp_path / "good.png").write_bytes(encoded(picture(12, 8), "PNG"))
    names = ["scans that change nothing", "a comment", "tags that share their values"]
    for number, name in enumerate(names):
        (tmp_path / f"{number}.x").write_bytes(BOMBS[name][0]())
    rows = [["good.png", "a"], ["good.png", "b"]] + [[f"{n}.x", "a"] for n in range(len(names))]
    manifest = write_manifest(tmp_path / "m.csv", ["path", "y0"], rows)
    convert(manifest, tmp_path / "out", size=(12, 8), split=ALL, max_bad_fraction=0.9)
    found = {path: f"{reason}: {detail}" for path, (reason, detail) in
             quarantine(tmp_path / "out").items()}  # fmt: skip
    assert found == {f"{n}.x": BOMBS[name][1] for n, name in enumerate(names)}


def test_a_record_of_many_scans_is_not_decoded(monkeypatch):
    from train.records.reading import encoded as reading

    reader = object.__new__(reading.EncodedReader)
    image = np.zeros((16, 16, 1), np.uint8)
    reader._decode_into(image, 0, scans(32))
    assert image.any()
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda *_: pytest.fail("decoded"))
    for data in (scans(33), jpeg_exif(exif(400, 400_000))):
        with pytest.raises(reading.UnreadableError) as caught:
            reader._decode_into(image, 0, data)
        assert isinstance(caught.value.__cause__, ImageError)


def test_a_record_that_is_no_jpeg_is_not_checked_as_one(monkeypatch):
    from train.records.reading import encoded as reading

    monkeypatch.setattr(reading, "plain_pixels", lambda _: None)
    monkeypatch.setattr(reading, "check_header", lambda _: pytest.fail("checked"))
    image = np.zeros((16, 16, 3), np.uint8)
    object.__new__(reading.EncodedReader)._decode_into(image, 0, png(b"", "RGB"))
    assert image.any()


def test_the_pictures_of_these_tests_are_images():
    for data in (gif(b""), png(b""), bmp((16, 16), (b"\x10\7\0\0") * 16), tiff((16, 16), 16,
                 GREY.tobytes())):  # fmt: skip
        assert Image.open(BytesIO(data)).size == (16, 16)
