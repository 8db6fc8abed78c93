"""How the names of image files end."""

from __future__ import annotations

SUFFIXES = (
    ".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".gif", ".tif", ".tiff", ".webp",
)  # fmt: skip
"""What Pillow calls the files of the allowed decoders, in small letters. A file with another name
may be an image all the same, and is decoded where a manifest names it."""


def is_image_name(path: str) -> bool:
    """Returns whether a file's name ends as an image's does."""
    return path.lower().endswith(SUFFIXES)
