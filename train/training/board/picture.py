"""Images with captions, as one picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont, features

Bytes = np.ndarray[Any, np.dtype[np.uint8]]

_COLUMNS = 2  # TensorBoard shows a picture 350 pixels wide
# Longer side of an image in the picture: smaller ones are enlarged, larger ones reduced, by whole
# numbers, so that pixels stay what they are as far as can be.
_SMALL, _LARGE = 256, 512
_GAP = 8
_TEXT_SIZE = 18
_PAPER, _INK = (255, 255, 255), (0, 0, 0)


def sheet(images: Bytes, captions: Sequence[str]) -> Bytes:
    """Returns images side by side, each with a line of text below.

    Args:
        images: uint8, shape (images, height, width, channels), of 1 or 3 channels.
        captions: Of ASCII: Pillow brings no glyphs for more.

    Returns:
        uint8, shape (height, width, 3).
    """
    pictures = [_fitted(image) for image in images]
    width, height = pictures[0].size
    columns = min(_COLUMNS, len(pictures))
    rows = -(-len(pictures) // columns)
    cell_width, cell_height = width + _GAP, height + _TEXT_SIZE + 2 * _GAP
    paper = Image.new("RGB", (columns * cell_width + _GAP, rows * cell_height + _GAP), _PAPER)
    canvas, font = ImageDraw.Draw(paper), _font()
    for index, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        row, column = divmod(index, columns)
        x, y = _GAP + column * cell_width, _GAP + row * cell_height
        paper.paste(picture, (x, y))
        canvas.text((x, y + height + _GAP // 4), caption, _INK, font)
    return np.asarray(paper)


def _fitted(image: Bytes) -> Image.Image:
    """Returns an image in a size to look at."""
    picture = Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image)
    longest = max(picture.size)
    if longest > _LARGE:
        return picture.reduce(-(-longest // _LARGE))
    zoom = max(1, _SMALL // longest)
    size = (zoom * picture.width, zoom * picture.height)
    return picture.resize(size, Image.Resampling.NEAREST)


def _font() -> Any:
    """Returns Pillow's own font; without FreeType one of a single size."""
    return ImageFont.load_default(_TEXT_SIZE if features.check("freetype2") else None)


def image_summary(tag: str, image: Bytes) -> Any:
    """Returns a `Summary` with an image as PNG.

    Args:
        tag: Under which TensorBoard shows it; any text.
        image: uint8, shape (height, width, channels).
    """
    from tensorboardX.summary import image as summary

    message = summary("", image, dataformats="HWC")
    message.value[0].tag = tag  # tensorboardX would replace all but letters and digits
    return message
