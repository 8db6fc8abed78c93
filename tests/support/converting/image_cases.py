"""Pictures and files of kinds that Pillow does not write, for the tests of what goes in."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from convert_cases import encoded
from PIL import Image, features

from convert.errors import ImageError
from convert.images import ImageOptions, Rendered, render, to_array

SIGNATURE = b"\x89PNG\r\n\x1a\n"
# First column and row of each pass of an interlaced PNG, and the steps between them.
PASSES = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2)]
PASSES.append((0, 1, 1, 2))
needs_tiff = pytest.mark.skipif(
    not features.check("libtiff"), reason="Pillow was built without libtiff"
)
needs_webp = pytest.mark.skipif(not features.check("webp"), reason="Pillow was built without webp")


def picture(width: int = 64, height: int = 48, mode: str = "RGB") -> Image.Image:
    """Returns a picture of which no row and no column is black or of one colour."""
    bands = len(Image.new(mode, (1, 1)).getbands())
    y, x = np.mgrid[:height, :width]
    pixels = np.stack([60 + (x * 3 + y * 2 + 40 * band) % 160 for band in range(bands)], axis=2)
    pixels += np.random.default_rng(0).integers(0, 30, pixels.shape)
    content = pixels.astype(np.uint8)
    return Image.fromarray(content if bands > 1 else content[..., 0], mode)


def jpeg(mode: str = "RGB", size: tuple[int, int] = (64, 48), **options) -> bytes:
    return encoded(picture(*size, mode), "JPEG", **{"quality": 90, **options})


def chunk(kind: bytes, content: bytes) -> bytes:
    body = kind + content
    return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))


def png(size: tuple[int, int], depth: int, colour: int, rows: bytes = b"", *, interlace: int = 0,
        extra: bytes = b"", stream: bytes | None = None) -> bytes:  # fmt: skip
    """Returns a PNG whose rows are given as they are, or compressed."""
    header = struct.pack(">II5B", *size, depth, colour, 0, 0, interlace)
    palette = chunk(b"PLTE", bytes(x % 255 + 1 for x in range(3 << depth))) if colour == 3 else b""
    stream = zlib.compress(rows) if stream is None else stream
    parts = (chunk(b"IHDR", header), extra, palette, chunk(b"IDAT", stream))
    return SIGNATURE + b"".join(parts) + chunk(b"IEND", b"")


def edit_tag(data: bytes, tag: int, change: Callable[[list[int]], list[int]]) -> bytes:
    """Returns a little-endian TIFF with other values of one tag, no more of them than before."""
    directory = struct.unpack_from("<I", data, 4)[0]
    edited = bytearray(data)
    for number in range(struct.unpack_from("<H", data, directory)[0]):
        entry = directory + 2 + 12 * number
        found, kind, count, value = struct.unpack_from("<HHII", data, entry)
        if found == tag:
            form, size = {3: ("H", 2), 4: ("I", 4)}[kind]
            place = entry + 8 if size * count <= 4 else value
            values = change(list(struct.unpack_from(f"<{count}{form}", data, place)))
            struct.pack_into(f"<{len(values)}{form}", edited, place, *values)
            struct.pack_into("<I", edited, entry + 4, len(values))
    return bytes(edited)


def tag_values(data: bytes, tag: int) -> list[int]:
    """Returns the values of one tag of a little-endian TIFF."""
    found: list[int] = []
    edit_tag(data, tag, lambda values: found.extend(values) or values)
    return found


def outcome(data: bytes, **options) -> str:
    """Returns `converted`, with what is odd, or the reason and detail of a refusal."""
    chosen = ImageOptions(**{"crop": None, "size": (64, 48), **options})
    try:
        oddities = render(data, chosen).oddities
    except ImageError as error:
        return str(error)
    return " ".join(("converted", *oddities))


def reason(data: bytes, **options) -> str:
    return outcome(data, **options).partition(":")[0]


def rendered(data: bytes, **options) -> Rendered:
    return render(data, ImageOptions(**{"crop": None, "size": (64, 48), **options}))


def pixels(data: bytes, **options) -> np.ndarray:
    chosen = ImageOptions(**{"crop": None, "size": (64, 48), **options})
    return to_array(render(data, chosen), chosen)


def bomb(width: int, height: int) -> bytes:
    """Returns a PNG whose header names a size, and whose rows are missing: to decode it fails."""
    return png((width, height), 8, 2, stream=b"")


def require_codec(part: str) -> None:
    """Skips a test by name where Pillow was built without what it needs."""
    if not features.check(part):
        pytest.skip(f"Pillow was built without {part}")
