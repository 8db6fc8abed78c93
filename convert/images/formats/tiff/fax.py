"""Fax-compressed pixels of a TIFF: decoded by libtiff once more, which says what is wrong.

Of most damage libtiff only warns, and Pillow turns its warnings off whenever it decodes. So a file
is opened a second time, with a handler of its own; libtiff has such since 4.5. Of what an older one
decodes nothing is said.

Source of the calls: tiffio.h.
"""

from __future__ import annotations

import ctypes
import os
from typing import Any

from convert.errors import ImageError
from convert.images.formats.tags import Compression, Tag
from convert.images.formats.tiff.libtiff_errors import LIBRARY

_NO_ENDS = (Compression.FAX_NO_ENDS, Compression.FAX_WORDS)  # of lines
FAX = frozenset((*_NO_ENDS, Compression.FAX_GROUP3, Compression.FAX_GROUP4))
"""The compressions of ITU-T T.4 and T.6."""

_MORE_ROWS = 16  # asked for beyond the last one
_MOST_BYTES = 1 << 28  # 2 billion pixels; tiles may be larger than their image
_SLACK_ROWS = 2  # what follows the last row may be taken for one that is not whole

_Pointer, _Text, _Number, _Size = (
    ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint32, ctypes.c_ssize_t,
)  # fmt: skip
# File, data of the user, module, format, va_list.
_Handler = ctypes.CFUNCTYPE(ctypes.c_int, _Pointer, _Pointer, _Text, _Text, _Pointer)
_CALLS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "TIFFOpenOptionsAlloc": (_Pointer, ()),
    "TIFFOpenOptionsFree": (None, (_Pointer,)),
    "TIFFOpenOptionsSetWarningHandlerExtR": (None, (_Pointer, _Handler, _Pointer)),
    "TIFFOpenOptionsSetErrorHandlerExtR": (None, (_Pointer, _Handler, _Pointer)),
    "TIFFFdOpenExt": (_Pointer, (ctypes.c_int, _Text, _Text, _Pointer)),
    "TIFFClose": (None, (_Pointer,)),
    "TIFFIsTiled": (ctypes.c_int, (_Pointer,)),
    "TIFFNumberOfStrips": (_Number, (_Pointer,)),
    "TIFFNumberOfTiles": (_Number, (_Pointer,)),
    "TIFFStripSize": (_Size, (_Pointer,)),
    "TIFFTileSize": (_Size, (_Pointer,)),
    "TIFFReadEncodedStrip": (_Size, (_Pointer, _Number, _Pointer, _Size)),
    "TIFFReadEncodedTile": (_Size, (_Pointer, _Number, _Pointer, _Size)),
}
"""Function of libtiff -> its result and its arguments."""


def _is_there() -> bool:
    """Declares the functions, if libtiff has all of them."""
    if not hasattr(os, "memfd_create") or not all(hasattr(LIBRARY, name) for name in _CALLS):
        return False
    for name, (result, arguments) in _CALLS.items():
        function = getattr(LIBRARY, name)
        function.restype, function.argtypes = result, arguments
    return True


_IS_THERE = _is_there()


def has_damaged_fax(data: bytes, compression: int, width: int, heights: list[int]) -> bool:
    """Returns whether fax-compressed strips or tiles of a TIFF are damaged.

    Args:
        data: The whole file, of which no strip is missing.
        compression: One of `FAX`.
        width: Of the image.
        heights: Rows of each strip or tile.

    Raises:
        ImageError: Some end before their last row. What Pillow would make of the rest is what was
            in memory before, others in every run.
    """
    if not _IS_THERE:
        return False
    heard: list[bytes] = []

    def hear(file: int, user: int, module: bytes, message: bytes, values: int) -> int:
        heard.append(module)
        return 1  # it goes no further

    handler = _Handler(hear)
    file = _open(data, handler)
    if not file:
        return True
    try:
        parts = _decoded(file, b"\xff" if LIBRARY.TIFFIsTiled(file) else _ones(width))
        # Not what it says of the file's tags, which is nothing of pixels.
        num_warnings = sum(module.startswith(b"Fax") for module in heard)
        # Without ends of lines it may warn of the end of a strip that is whole.
        has_warnings = num_warnings > (len(heights) if compression in _NO_ENDS else 0)
        # Of the others libtiff says that they do not end with their last row.
        has_more = compression == Compression.FAX_GROUP4 and not LIBRARY.TIFFIsTiled(file)
        again = _with_more_rows(file, heights) if has_more else _decoded(file, b"\0")
        return (_goes_on(parts, again, heights) and has_more) or has_warnings
    finally:
        LIBRARY.TIFFClose(file)


def _open(data: bytes, handler: Any) -> int | None:
    """Opens a file in memory; closing it frees that."""
    descriptor = os.memfd_create("tiff")
    with open(os.dup(descriptor), "wb") as memory:
        memory.write(data)
    options = LIBRARY.TIFFOpenOptionsAlloc()
    LIBRARY.TIFFOpenOptionsSetWarningHandlerExtR(options, handler, None)
    LIBRARY.TIFFOpenOptionsSetErrorHandlerExtR(options, handler, None)
    os.lseek(descriptor, 0, os.SEEK_SET)
    file: int | None = LIBRARY.TIFFFdOpenExt(descriptor, b"tiff", b"r", options)
    LIBRARY.TIFFOpenOptionsFree(options)
    if not file:
        os.close(descriptor)
    return file


def _ones(width: int) -> bytes:
    """Returns ones for all pixels of a row; those that fill its last byte are never written."""
    return (((1 << width) - 1) << -width % 8).to_bytes((width + 7) // 8)


def _decoded(file: int, fill: bytes) -> list[bytes]:
    """Returns the pixels of each strip or tile; where nothing was written, `fill` repeated."""
    kind = "Tile" if LIBRARY.TIFFIsTiled(file) else "Strip"
    size = getattr(LIBRARY, f"TIFF{kind}Size")(file)
    read = getattr(LIBRARY, f"TIFFReadEncoded{kind}")
    count = getattr(LIBRARY, f"TIFFNumberOf{kind}s")(file)
    if size * count > _MOST_BYTES:
        raise ImageError("too_large", f"the TIFF's {kind.lower()}s take {size * count} bytes")
    parts = []
    for number in range(count):
        buffer = ctypes.create_string_buffer(fill * (size // len(fill)), size)
        read(file, number, buffer, size)
        parts.append(buffer.raw)
    return parts


def _with_more_rows(file: int, heights: list[int]) -> list[bytes]:
    """Returns the pixels of each strip with some rows beyond its last one, or zeros there."""
    rows = max(heights) + _MORE_ROWS
    LIBRARY.TIFFSetField(ctypes.c_void_p(file), _Number(Tag.STRIP_ROWS), _Number(rows))
    height = _Number(rows * len(heights))
    LIBRARY.TIFFSetField(ctypes.c_void_p(file), _Number(Tag.HEIGHT), height)
    return _decoded(file, b"\0")


def _goes_on(first: list[bytes], again: list[bytes], heights: list[int]) -> bool:
    """Returns whether the second decoding goes on after the last row of some strip.

    Raises:
        ImageError: Rows are not the same when what was in memory before is another.
    """
    row = len(first[0]) // max(heights)
    stops = [height * row for height in heights]  # the last strip may have fewer rows
    if any(a[:stop] != b[:stop] for a, b, stop in zip(first, again, stops, strict=True)):
        raise ImageError("truncated", "fax-compressed strips of the TIFF end before their last row")
    slack = _SLACK_ROWS * row
    return any(any(more[stop + slack :]) for more, stop in zip(again, stops, strict=True))
