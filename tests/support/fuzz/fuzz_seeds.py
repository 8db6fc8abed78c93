"""Whole images of every format and of every kind of pixels, to be damaged."""

import struct
import zlib
from collections.abc import Iterator

import numpy as np
from convert_cases import encoded
from PIL import Image, features

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def chunk(kind: bytes, content: bytes) -> bytes:
    body = kind + content
    return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))


def image_seeds() -> dict[str, bytes]:
    """Returns whole images of every format and of every kind of pixels that is read."""
    random = np.random.default_rng(0)
    noise = random.integers(0, 256, (24, 33, 4), np.uint8)
    ramp = np.add.outer(np.arange(24), np.arange(33)).astype(np.uint8) * 4
    colour = Image.fromarray(noise[..., :3])
    smooth = Image.fromarray(np.stack([ramp, 255 - ramp, ramp // 2], axis=2))
    grey = Image.fromarray(ramp)
    pictures = {
        "RGB": colour,
        "smooth": smooth,
        "RGBA": Image.fromarray(noise, "RGBA"),
        "L": grey,
        "LA": Image.merge("LA", (grey, grey.rotate(90, expand=False))),
        "P": smooth.quantize(16),
        "1": grey.convert("1"),
        "I;16": Image.fromarray(ramp.astype(np.uint16) * 257),
        "CMYK": smooth.convert("CMYK"),
    }
    found = dict(_png_seeds(pictures))
    found |= dict(_jpeg_seeds(pictures))
    found |= dict(_other_seeds(pictures))
    return found


def _png_seeds(pictures: dict[str, Image.Image]) -> Iterator[tuple[str, bytes]]:
    for mode in ("RGB", "smooth", "RGBA", "L", "LA", "P", "1", "I;16"):
        yield f"PNG {mode}", encoded(pictures[mode], "PNG")
    yield "PNG P transparent", encoded(pictures["P"], "PNG", transparency=b"\0\x7f\xff")
    yield "PNG 2 bits", encoded(pictures["smooth"].quantize(4), "PNG", bits=2)
    yield "PNG RGB transparent", encoded(pictures["smooth"], "PNG", transparency=(1, 2, 3))
    yield "PNG L transparent", encoded(pictures["L"], "PNG", transparency=7)
    turned = Image.Exif()
    turned[0x0112] = 6
    yield "PNG turned", encoded(pictures["smooth"], "PNG", exif=turned, dpi=(72, 72))
    frames = [pictures["smooth"].rotate(90 * number) for number in range(3)]
    yield "PNG moving", encoded(frames[0], "PNG", save_all=True, append_images=frames[1:])
    yield "PNG interlaced", _png_of(8, 8, 2, 1)
    yield "PNG 16 bits RGB", _png_of(9, 7, 2, 0, depth=16)
    yield "PNG interlaced 1 bit", _png_of(17, 11, 0, 1, depth=1)


def _png_of(width: int, height: int, colour: int, interlace: int, depth: int = 8) -> bytes:
    """Returns a PNG of a kind that Pillow does not write."""
    bits = {0: 1, 2: 3}[colour] * depth
    passes = [(0, 0, 1, 1)]
    if interlace:  # PNG specification, section 8.2: first column and row, and steps
        passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4)]
        passes += [(0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    rows = b""
    for left, top, across, down in passes:
        columns, lines = -(-(width - left) // across), -(-(height - top) // down)
        if columns > 0 and lines > 0:
            rows += (b"\0" + bytes(range(256)) * 9)[: 1 + -(-columns * bits // 8)] * lines
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return SIGNATURE + b"".join(chunk(kind, content) for kind, content in parts)


def _jpeg_seeds(pictures: dict[str, Image.Image]) -> Iterator[tuple[str, bytes]]:
    large = pictures["smooth"].resize((96, 64))
    turned = Image.Exif()
    turned[0x0112] = 8
    for mode in ("RGB", "L", "CMYK"):
        yield f"JPEG {mode}", encoded(pictures[mode], "JPEG")
    yield "JPEG progressive", encoded(large, "JPEG", progressive=True, quality=60)
    yield "JPEG turned", encoded(large, "JPEG", exif=turned)
    yield "JPEG restarts", encoded(large, "JPEG", restart_marker_rows=1)
    yield "JPEG 4:2:0", encoded(large, "JPEG", subsampling=2, optimize=True)


def _other_seeds(pictures: dict[str, Image.Image]) -> Iterator[tuple[str, bytes]]:
    smooth = pictures["smooth"]
    frames = [smooth.rotate(90 * number).quantize(8) for number in range(3)]
    yield "GIF", encoded(frames[0], "GIF", transparency=3)
    yield "GIF moving", encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    yield "GIF interlaced", encoded(smooth.quantize(64), "GIF", interlace=1)
    for mode in ("RGB", "RGBA", "L", "P", "1"):
        yield f"BMP {mode}", encoded(pictures[mode], "BMP")
    for mode in ("RGB", "RGBA", "L", "P", "1", "I;16", "CMYK"):
        yield f"TIFF {mode}", encoded(pictures[mode], "TIFF")
    if features.check("libtiff"):
        for kind in ("lzw", "adobe_deflate", "packbits", "jpeg"):
            yield (
                f"TIFF {kind}",
                encoded(smooth, "TIFF", compression=f"tiff_{kind}".replace("tiff_jpeg", "jpeg")),
            )
        yield "TIFF group4", encoded(pictures["1"], "TIFF", compression="group4")
        tiles = {322: 16, 323: 16}  # TIFF 6.0, section 15: TileWidth, TileLength
        yield "TIFF tiles", encoded(smooth, "TIFF", compression="tiff_lzw", tiffinfo=tiles)
    if features.check("webp"):
        yield "WEBP", encoded(smooth, "WEBP")
        yield "WEBP lossless", encoded(pictures["RGBA"], "WEBP", lossless=True)
        turned = Image.Exif()
        turned[0x0112] = 3
        yield "WEBP turned", encoded(smooth, "WEBP", exif=turned)
        more = [frame.convert("RGB") for frame in frames[1:]]
        yield "WEBP moving", encoded(smooth, "WEBP", save_all=True, append_images=more)
