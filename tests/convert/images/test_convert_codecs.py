"""What cannot be read here is not called damaged; large texts are no reason to refuse a PNG."""

from __future__ import annotations

import json
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from convert_cases import command, encoded, write_manifest
from image_cases import chunk, edit_tag, jpeg, needs_tiff, outcome, picture, png, rendered
from PIL import Image, PngImagePlugin, features

from convert.images.formats import codec_support
from convert.images.formats.foreign_formats import foreign_format
from convert.images.formats.tiff import tiff_format
from convert.version import __version__

MAKE = "and reinstall pillow-simd: make system-packages"
WEBP = b'RIFF\x1e\0\0\0WEBPVP8L\x11\0\0\0/\x0f\xc0\x03\0\x07P\x8f"\x97\xa7\xff\x81\x88\xe8\x7f\0\0'
NO_WEBP = f"a WebP, and this Pillow was built without libwebp; install libwebp-dev {MAKE}"


def without(monkeypatch: pytest.MonkeyPatch, *missing: str) -> None:
    """Makes Pillow look as if it had been built without some libraries."""
    check = features.check
    monkeypatch.setattr(features, "check", lambda name: name not in missing and check(name))


def tiff_of(compression: int) -> bytes:
    """Returns a TIFF whose pixels claim to be compressed in some way."""
    return edit_tag(encoded(picture(), "TIFF"), 259, lambda _: [compression])


def test_webp_without_libwebp(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "webp")
    assert outcome(WEBP) == f"unsupported_here: {NO_WEBP}"


@pytest.mark.parametrize(
    ("compression", "name"),
    [
        (5, "a TIFF compressed by LZW"),
        (8, "a TIFF compressed by deflate"),
        (32773, "a TIFF compressed by PackBits"),
        (4, "a TIFF compressed by CCITT group 4"),
        (50001, "a TIFF compressed by WebP"),
        (34887, "a TIFF compressed by LERC"),
        (65000, "a TIFF of compression 65000"),
    ],
)
def test_tiff_without_libtiff(compression: int, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "libtiff")
    assert outcome(tiff_of(compression)) == (
        f"unsupported_here: {name}, and this Pillow was built without libtiff; "
        f"install libtiff-dev {MAKE}"
    )
    assert outcome(tiff_of(1)) == "converted"


@needs_tiff
@pytest.mark.parametrize(
    ("compression", "name"),
    [
        (34887, "compressed by LERC"),
        (34712, "compressed by JPEG 2000"),
        (65000, "of compression 65000"),
    ],
)
def test_a_compression_that_libtiff_lacks(compression: int, name: str) -> None:
    assert outcome(tiff_of(compression)) == (
        f"unsupported_here: a TIFF {name}, which this Pillow and its libtiff cannot decode; "
        "save it as LZW"
    )


@needs_tiff
def test_a_codec_that_was_left_out_of_libtiff(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(picture(), "TIFF", compression="tiff_lzw")
    assert outcome(data) == "converted"
    monkeypatch.setattr(tiff_format, "is_configured", lambda compression: compression != 5)
    assert outcome(data).startswith("unsupported_here: a TIFF compressed by LZW, which this")


# Files that are something else


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"\0\0\0\x20ftypavif\0\0\0\0", "AVIF"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0", "HEIF"),
        (b"\0\0\0\x18ftypisom\0\0\0\0", "a video or another ISO media file"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
        (b"\xff\x4f\xff\x51\0", "JPEG 2000"),
        (b"\xff\x0a\0\0", "JPEG XL"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
        (b"%PDF-1.7\n", "a PDF"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "PostScript"),
        (b"\xc5\xd0\xd3\xc6\0\0", "an EPS with a preview"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        (b'<?xml version="1.0"?>\n<!-- x -->\n<svg/>', "SVG"),
        (b"\xef\xbb\xbf <!DOCTYPE HTML>", "an HTML page"),
        (b"\n<html lang=en>", "an HTML page"),
        (b"\0\0\1\0\1\0", "an ICO icon"),
        (b"DDS |\0\0\0", "a DDS texture"),
        (b"8BPS\0\1", "a Photoshop document"),
        (b"P5\n2 2\n255\n", "a PNM (PBM, PGM, PPM)"),
        (b"PK\3\4\x14\0", "a ZIP archive"),
        (b"\x1f\x8b\x08\0", "gzip"),
        (b"version https://git-lfs.github.com/spec/v1\n",
         "a Git LFS pointer; fetch the file by `git lfs pull`"),
        (b'{"error": "not found"}', "JSON"),
    ],
)  # fmt: skip
def test_a_foreign_format_is_named(data: bytes, name: str) -> None:
    data += bytes(200)
    assert outcome(data) == (
        f"unknown_format: {name}, starts with {data[:8]!r}, "
        "expected one of PNG, JPEG, BMP, GIF, TIFF, WEBP"
    )


@pytest.mark.parametrize("data", [b"", b"P", bytes(64), b"PNG", b"once upon a time", b"P7x", b"<"])
def test_what_is_not_known_is_not_named(data: bytes) -> None:
    assert foreign_format(data) is None


# Large texts


def compressed_text(size: int) -> bytes:
    return zlib.compress(bytes([97]) * size)


ICC = b"profile\0\0" + compressed_text(3 << 20)
TEXTS = {
    "zTXt": chunk(b"zTXt", b"Comment\0\0" + compressed_text(3 << 20)),
    "iTXt": chunk(b"iTXt", b"Comment\0\1\0\0\0" + compressed_text(3 << 20)),
    "iCCP": chunk(b"iCCP", ICC),
    "XMP": chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + compressed_text(3 << 20)),
    "many": chunk(b"zTXt", b"Comment\0\0" + compressed_text(1 << 20)) * 70,
    "plain": chunk(b"tEXt", b"Comment\0" + b"a" * (1 << 20)) * 70,
}


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("kind", TEXTS)
@pytest.mark.parametrize("mode", ["RGB", "P", "I;16", "RGBA"])
def test_large_texts_are_no_damage(mode: str, kind: str, after: bool) -> None:
    image = Image.new("I;16", (64, 48), 300) if mode == "I;16" else picture().convert(mode)
    plain = encoded(image, "PNG")
    place = len(plain) - 12 if after else 33
    data = plain[:place] + TEXTS[kind] + plain[place:]
    assert outcome(data, fast_decode=True) == outcome(data) == outcome(plain)
    assert rendered(data).content == rendered(plain).content


def test_a_short_text_that_turns_the_image_still_does() -> None:
    texts = PngImagePlugin.PngInfo()
    exif = Image.Exif()
    exif[0x0112] = 6
    raw = exif.tobytes()[6:]
    texts.add_text("Raw profile type exif", f"\nexif\n {len(raw)}\n{raw.hex()}\n", zip=True)
    plain = encoded(picture(), "PNG", pnginfo=texts)
    data = plain[:33] + TEXTS["zTXt"] + plain[33:]
    options = {"exif": True, "size": (48, 64)}
    assert "oriented" in outcome(plain, **options)
    assert outcome(data, **options) == outcome(plain, **options)


def test_a_large_text_hides_no_missing_rows() -> None:
    row = b"\0" + bytes(range(1, 193))
    data = png((64, 48), 8, 2, row * 20, extra=TEXTS["zTXt"])
    assert outcome(data) == "truncated: the PNG ends before its last row"


# The command


def test_the_version_lists_codecs() -> None:
    first, *rest = command("--version").stdout.splitlines()
    assert first == f"shardfeed {__version__}"
    names = ["Pillow", "PNG:", "JPEG:", "WebP:", "TIFF:", "BMP,"]
    assert [line.split()[0] for line in rest] == names
    webp, tiff = rest[3], rest[4]
    assert webp == f"WebP: libwebp {features.version('webp') or 'not built in'}"
    assert tiff == f"TIFF: libtiff {features.version('libtiff') or 'not built in'}"


def test_missing_codecs_are_not_built_in(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "webp", "libtiff")
    lines = codec_support.codec_lines()
    assert "WebP: libwebp not built in" in lines
    assert "TIFF: libtiff not built in" in lines


def test_help_does_not_load_decoders() -> None:
    script = (
        "import sys, convert.cli\n"
        "try:\n    convert.cli.main(['--help'])\nexcept SystemExit:\n    pass\n"
        "print([m for m in ('PIL', 'numpy', 'simplejpeg') if m in sys.modules])"
    )
    words = [sys.executable, "-c", script]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_rows_that_could_not_be_read_here_get_another_chance(tmp_path: Path) -> None:
    twelve_bits = jpeg().replace(b"\xff\xc0\0\x11\x08", b"\xff\xc0\0\x11\x0c", 1)
    for number in range(5):
        image = picture() if number else picture().rotate(180)
        (tmp_path / f"{number}.png").write_bytes(encoded(image, "PNG"))
    (tmp_path / "5.jpg").write_bytes(twelve_bits)
    names = [*(f"{number}.png" for number in range(5)), "5.jpg"]
    write_manifest(tmp_path / "m.csv", ["path", "y0"], [[n, i % 2] for i, n in enumerate(names)])
    words = ["m.csv", "out", "--size", 64, 48, "--split", "train=1", "--max-bad-fraction", 1]
    assert command(*words, cwd=tmp_path).returncode == 0
    entry = json.loads((tmp_path / "out/quarantine.jsonl").read_text())
    assert entry["reason"] == "unsupported_here"
    (tmp_path / "5.jpg").write_bytes(jpeg())  # as if a decoder had come
    assert command(*words, "--retry-quarantined", cwd=tmp_path).returncode == 0
    assert (tmp_path / "out/quarantine.jsonl").read_text() == ""
