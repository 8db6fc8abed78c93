"""Every kind of bad source is left out with its reason: no hang, no crash, no program started."""

import ctypes
import json
import os
import socket
import struct
import zlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from convert_cases import command, encoded, png, write_manifest
from fault_cases import quarantine
from fault_injection import faulty
from fuzz_seeds import SIGNATURE, chunk
from PIL import Image, features

NUM_DAMAGED_JPEGS = 60
NOBODY = 65_534
BOMB = ("too_large", "50000x50000 is more than 50000000 pixels")
NOT_A_FILE = ("not_a_file", "a pipe, socket or device, expected an image file")
DENIED = ("unreadable", "permission denied")
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n9 9 scale showpage\n%%EOF\n"

Expected = tuple[str, str]


def unknown(what: str, start: bytes) -> Expected:
    formats = "PNG, JPEG, BMP, GIF, TIFF, WEBP"
    return "unknown_format", f"{what}, starts with {start!r}, expected one of {formats}"


def patched(data: bytes, place: int, new: bytes) -> bytes:
    return data[:place] + new + data[place + len(new) :]


# Files that are read


def contents() -> Iterator[tuple[str, bytes, Expected | None]]:
    """Yields name, content, and why it is left out, if it is."""
    good, photo = png((30, 20)), encoded(Image.open(BytesIO(png((90, 60)))), "JPEG")
    yield "good.png", good, None
    yield "png.jpg", good, None  # the content counts
    yield "jpeg.png", photo, None
    yield "empty.png", b"", ("empty_file", "the file has 0 bytes")
    end = len(good) // 2
    yield "half.png", good[:end], ("truncated", f"the PNG ends after {end} bytes, inside a chunk")
    yield "half.jpg", photo[: len(photo) // 2], ("truncated", "the JPEG ends before its last row")
    flipped = patched(good, end, bytes([good[end] ^ 0xFF]))
    yield "flipped.png", flipped, ("damaged", "the CRC of PNG chunk 'IDAT' is wrong")
    yield "page.png", b"<!DOCTYPE html><title>404</title>", unknown("an HTML page", b"<!DOCTYP")
    yield "drawing.png", EPS, unknown("PostScript", b"%!PS-Ado")
    yield "drawing.eps", EPS, unknown("PostScript", b"%!PS-Ado")
    dos = b"\xc5\xd0\xd3\xc6" + struct.pack("<7I", 32, len(EPS), 0, 0, 0, 0, 0xFFFF) + EPS
    yield "dos.eps", dos, unknown("an EPS with a preview", dos[:8])
    yield "document.pdf", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", unknown("a PDF", b"%PDF-1.7")
    yield "drawing.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", unknown("SVG", b"<svg xml")
    for name, data in bombs():
        yield f"bomb {name}", data, BOMB


def bombs() -> Iterator[tuple[str, bytes]]:
    """Yields files of each format that claim 50,000 x 50,000 pixels; one of them has them all."""
    side, small = 50_000, Image.new("RGB", (4, 4))
    yield "tiny.png", png_of(side, 8, 2, zlib.compress(bytes(1000)))
    packer = zlib.compressobj(1)
    rows = [packer.compress(bytes(1000 * (1 + side // 8))) for _ in range(side // 1000)]
    yield "whole.png", png_of(side, 1, 0, b"".join(rows) + packer.flush())
    gif = encoded(small.convert("P"), "GIF")
    yield "screen.gif", patched(gif, 6, struct.pack("<2H", side, side))
    frame = gif.index(b",\0\0\0\0")  # GIF89a, section 20: the separator, left, top
    yield "frame.gif", patched(gif, frame + 5, struct.pack("<2H", side, side))
    bmp = encoded(small, "BMP")
    yield "up.bmp", patched(bmp, 18, struct.pack("<2i", side, side))
    yield "down.bmp", patched(bmp, 18, struct.pack("<2i", side, -side))
    photo = encoded(small, "JPEG")
    yield "photo.jpg", patched(photo, photo.index(b"\xff\xc0") + 5, struct.pack(">2H", side, side))
    yield "strip.tif", tiff_of(encoded(small, "TIFF"), {256: side, 257: side})
    if features.check("webp"):
        moving = {"save_all": True, "append_images": [Image.new("RGB", (4, 4), "red")]}
        webp = encoded(small, "WEBP", **moving)
        yield (
            "moving.webp",
            patched(webp, webp.index(b"VP8X") + 12, 2 * struct.pack("<I", side - 1)[:3]),
        )


def png_of(side: int, depth: int, colour: int, packed: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", side, side, depth, colour, 0, 0, 0)
    return SIGNATURE + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def tiff_of(data: bytes, values: dict[int, int]) -> bytes:
    """Returns a TIFF in which some tags have other values."""
    (folder,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, folder)
    for place in range(folder + 2, folder + 2 + 12 * count, 12):
        (tag,) = struct.unpack_from("<H", data, place)
        if tag in values:
            data = patched(data, place, struct.pack("<HHII", tag, 4, 1, values[tag]))
    return data


def damaged_jpegs() -> Iterator[tuple[str, bytes]]:
    """Yields JPEGs of which some bytes, from one to twenty, have a flipped bit."""
    random = np.random.default_rng(0)
    picture = Image.open(BytesIO(png((90, 60))))
    for number in range(NUM_DAMAGED_JPEGS):
        data = bytearray(encoded(picture, "JPEG", progressive=bool(number % 2)))
        for place in random.integers(0, len(data), 1 + number // 3):
            data[place] ^= 1 << random.integers(8)
        yield f"damaged-{number}.jpg", bytes(data)


# Paths that lead to no file, or to one that may not be read


def paths(folder: Path) -> Iterator[tuple[str, Expected | None]]:
    """Makes what is no file; yields each path and why it is left out."""
    (folder / "folder").mkdir()
    os.mkfifo(folder / "pipe.png")  # without a writer: who opens it waits for ever
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(folder / "socket.png"))
    (folder / "device-link.png").symlink_to("/dev/zero")
    (folder.parent / "secret.png").write_bytes(png())
    (folder / "link.png").symlink_to("../secret.png")
    (folder / "up").symlink_to("..")
    (folder / "loop.png").symlink_to("loop.png")
    (folder / "inside.png").symlink_to("good.png")
    with (folder / "sparse.png").open("wb") as sparse:
        sparse.write(png())
        sparse.truncate(100 << 30)
    yield "missing.png", ("missing", "no such file")
    yield "good.png/inside.png", ("missing", "a folder of its path is a file")
    yield "folder", ("not_a_file", "a folder, expected an image file")
    yield "pipe.png", NOT_A_FILE
    yield "socket.png", NOT_A_FILE
    yield "loop.png", ("not_a_file", "a link to itself, expected an image file")
    yield "sparse.png", ("too_large", f"{100 << 30} bytes are more than 801048576")
    yield "inside.png", None
    for path in ("link.png", "../secret.png", "up/secret.png"):
        yield path, outside("../secret.png")
    for path in ("device-link.png", "/dev/zero"):
        yield path, outside(os.path.relpath("/dev/zero", folder))
    if os.geteuid() == 0:
        os.mknod(folder / "device.png", 0o020666, os.makedev(1, 5))  # as /dev/zero
        yield "device.png", NOT_A_FILE
    yield from forbidden_paths(folder)


def outside(place: str) -> Expected:
    further = "--allow DIR lets a further folder in"
    return "outside_root", f"leads out of --root, to {place} from there; {further}"


def forbidden_paths(folder: Path) -> Iterator[tuple[str, Expected]]:
    """Makes files that belong to somebody else, as far as we may."""
    (folder / "closed").mkdir()
    for name in ("closed/a.png", "forbidden.png"):
        (folder / name).write_bytes(png())
        yield name, DENIED
    for path in (folder / "closed", folder / "forbidden.png"):
        path.chmod(0)
        if os.geteuid() == 0:
            os.chown(path, NOBODY, NOBODY)


def obey_permissions() -> None:
    """Takes root's right to read every file from the program that this process becomes."""
    if os.geteuid() == 0:
        for capability in (1, 2):  # linux/capability.h: CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
            # linux/prctl.h: PR_CAPBSET_DROP
            assert ctypes.CDLL(None).prctl(24, capability, 0, 0, 0) == 0


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    (tmp_path / "files").mkdir()
    yield tmp_path
    if (tmp_path / "files/closed").exists():
        (tmp_path / "files/closed").chmod(0o700)  # so that pytest can delete it


def run(folder: Path, names: list[str], root: Path) -> dict[str, Any]:
    """Converts the files in real processes; returns the summary."""
    write_manifest(folder / "m.csv", ["path", "y0"], [[name, "x"] for name in names])
    environment = faulty(folder / "watch", f"log_starts({str(folder / 'started')!r})")
    words = ["m.csv", "out", "--root", root, "--size", 8, 8, "--max-bad-fraction", 1]
    words += ["--split", "train=1", "--workers", 2, "--json"]
    done = command(*words, cwd=folder, env=environment, preexec_fn=obey_permissions)
    assert "Traceback" not in done.stderr
    assert not (folder / "started").exists()
    return json.loads(done.stdout)


def test_every_kind_of_bad_source(folder: Path) -> None:
    files = folder / "files"
    expected: dict[str, Expected | None] = {}
    for name, data, why in contents():
        (files / name).write_bytes(data)
        expected[name] = why
    expected |= dict(paths(files))
    for name, data in damaged_jpegs():
        (files / name).write_bytes(data)
    jpegs = [name for name, _ in damaged_jpegs()]
    summary = run(folder, [*expected, *jpegs], files)
    found = quarantine(folder / "out")
    of_jpegs = {name: found.pop(name)[0] for name in jpegs if name in found}
    assert found == {name: why for name, why in expected.items() if why is not None}
    reasons = {"damaged", "truncated", "unknown_format", "unsupported_here", "too_large"}
    assert set(of_jpegs.values()) <= reasons  # a bit can make a JPEG one of 12 bits
    assert 0 < len(of_jpegs) < len(jpegs)
    good = [name for name, why in expected.items() if why is None]
    assert summary["records"] == len(good) + len(jpegs) - len(of_jpegs)
    assert summary["quarantined"] == len(found) + len(of_jpegs)
    assert summary["input_bytes"] < 3_000_000  # the sparse file was not read


def test_the_whole_disk_as_root_does_not_open_devices(folder: Path) -> None:
    (folder / "files/zero.png").symlink_to("/dev/zero")
    (folder / "files/good.png").write_bytes(png())
    link, good = str(folder / "files/zero.png"), str(folder / "files/good.png")
    assert run(folder, [good, "/dev/zero", link], Path("/"))["records"] == 1
    assert quarantine(folder / "out") == {"/dev/zero": NOT_A_FILE, link: NOT_A_FILE}
