"""Names the format of files that are not converted, by their first bytes."""

from __future__ import annotations

import re

_BY_START: tuple[tuple[bytes, str], ...] = (
    (b"%PDF", "a PDF"),
    (b"%!PS", "PostScript"),
    (b"\xc5\xd0\xd3\xc6", "an EPS with a preview"),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\x00\x00\x00\x0cJXL \r\n\x87\n", "JPEG XL"),
    (b"\xff\x0a", "JPEG XL"),
    (b"II\xbc\x01", "JPEG XR"),
    (b"\x00\x00\x01\x00", "an ICO icon"),
    (b"\x00\x00\x02\x00", "a CUR cursor"),
    (b"icns", "an ICNS icon"),
    (b"DDS ", "a DDS texture"),
    (b"8BPS", "a Photoshop document"),
    (b"gimp xcf", "a GIMP document"),
    (b"qoif", "QOI"),
    (b"BPG\xfb", "BPG"),
    (b"FLIF", "FLIF"),
    (b"\x76\x2f\x31\x01", "OpenEXR"),
    (b"#?RADIANCE", "Radiance HDR"),
    (b"SIMPLE  =", "FITS"),
    (b"AT&TFORM", "DjVu"),
    (b"\x8aMNG\r\n\x1a\n", "MNG"),
    (b"\x59\xa6\x6a\x95", "a Sun raster"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x89HDF\r\n\x1a\n", "HDF5"),
    (b"PAR1", "Parquet"),
    (b"\x1f\x8b", "gzip"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!", "a RAR archive"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"version https://git-lfs.github.com/", "a Git LFS pointer; fetch the file by `git lfs pull`"),
)

_BRANDS = {  # ISO/IEC 23008-12 and the AV1 image format: the brand follows `ftyp`
    b"avif": "AVIF", b"avis": "AVIF",
    b"heic": "HEIC", b"heix": "HEIC", b"heim": "HEIC", b"heis": "HEIC", b"hevc": "HEIC",
    b"hevx": "HEIC", b"mif1": "HEIF", b"msf1": "HEIF",
}  # fmt: skip
_PNM = re.compile(rb"P[1-7]\s")
_TEXT_BYTES = 1024  # what is looked at of a text


def foreign_format(data: bytes) -> str | None:
    """Returns a file's format, as `a PDF`, if it is known but not converted."""
    if data[4:8] == b"ftyp":
        return _BRANDS.get(data[8:12], "a video or another ISO media file")
    for start, name in _BY_START:
        if data.startswith(start):
            return name
    if _PNM.match(data):
        return "a PNM (PBM, PGM, PPM)"
    if data[128:132] == b"DICM":
        return "DICOM"
    return _text_format(data[:_TEXT_BYTES])


def _text_format(start: bytes) -> str | None:
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return "an HTML page"
    if text.startswith(b"<svg") or (text.startswith((b"<?xml", b"<!")) and b"<svg" in text):
        return "SVG"
    if text.startswith(b"<?xml"):
        return "XML"
    return "JSON" if text.startswith((b'{"', b"[{", b'["')) else None
