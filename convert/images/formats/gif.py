"""GIF files: their blocks up to the second picture are counted before Pillow reads each of them.

Source of the structure: GIF89a specification, sections 15 to 26.
"""

from __future__ import annotations

from io import BytesIO

from PIL import GifImagePlugin, Image

from convert.errors import ImageError
from convert.images.formats.image_format import ImageFormat

_SMALL_BYTES = 1 << 20  # of a file in which nothing takes long
_COMMENT_BYTES = 1 << 20  # Pillow copies a comment again for each 255 bytes of it
_FREE_BLOCKS, _BYTES_PER_BLOCK = 100_000, 64  # blocks have 255 bytes but for each list's last
_SCREEN_BYTES, _FLAGS_AT = 13, 10
_EXTENSION, _PICTURE, _COMMENT, _TRAILER = 0x21, 0x2C, 0xFE, 0x3B
_PICTURE_BYTES = 10  # of a picture's own header; its flags are the last


class GifFormat(ImageFormat):
    """GIF; see `ImageFormat`."""

    name = GifImagePlugin.GifImageFile.format
    signatures = (b"GIF8",)

    def check(self, data: bytes) -> None:
        """Refuses far more blocks, or longer comments, than the pictures need."""
        if len(data) < _SMALL_BYTES:
            return
        most_blocks = _FREE_BLOCKS + len(data) // _BYTES_PER_BLOCK
        at = _SCREEN_BYTES + _table_bytes(data[_FLAGS_AT])
        num_pictures = num_blocks = comment_bytes = 0
        while at + _PICTURE_BYTES < len(data) and num_pictures < 2:
            kind, is_comment = data[at], data[at] == _EXTENSION and data[at + 1] == _COMMENT
            if kind == _TRAILER:  # what follows is not read
                return
            num_blocks += 1
            if num_blocks > most_blocks:
                raise ImageError("too_large", f"more than {most_blocks:,} blocks of data")
            if kind == _PICTURE:
                num_pictures += 1
                flags = data[at + _PICTURE_BYTES - 1]
                at += _PICTURE_BYTES + _table_bytes(flags) + 1  # and the size of the first code
            elif kind == _EXTENSION:
                at += 2
            else:  # Pillow looks for the next block byte by byte
                at += 1
                continue
            start = at
            while at < len(data) and data[at] and num_blocks <= most_blocks:
                at += data[at] + 1
                num_blocks += 1
            at += 1
            comment_bytes += is_comment * (at - start)
            if comment_bytes > _COMMENT_BYTES:
                raise ImageError("too_large", f"comments of more than {_COMMENT_BYTES:,} bytes")

    def has_further_pages(self, image: Image.Image, data: bytes) -> bool:
        """Opens the file once more: to look for a second frame moves on to it."""
        return GifImagePlugin.GifImageFile(BytesIO(data)).is_animated


def _table_bytes(flags: int) -> int:
    """Returns the bytes of the colour table that a header's flags tell of."""
    return 3 * (2 << (flags & 7)) if flags & 0x80 else 0
