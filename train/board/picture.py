"""Images with captions, as one picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont, features

Bytes = np.ndarray[Any, np.dtype[np.uint8]]

_COLUMNS = 4
_WIDTH = 256  # of an image in the picture: small ones are enlarged by a whole number
_GAP = 8
_TEXT_SIZE = 14
_PAPER, _INK = (255, 255, 255), (0, 0, 0)


def sheet(images: Bytes, captions: Sequence[str]) -> Bytes:
    """Returns images side by side, each with a line of text below.

    Args:
        images: uint8, shape (images, height, width, channels), of 1 or 3 channels.
        captions: Of ASCII: Pillow brings no glyphs for more.

    Returns:
        uint8, shape (height, width, 3).
    """
    height, width = images.shape[1:3]
    zoom = max(1, _WIDTH // width)
    cell_width, cell_height = zoom * width + _GAP, zoom * height + _TEXT_SIZE + 2 * _GAP
    columns = min(_COLUMNS, len(images))
    rows = -(-len(images) // columns)
    paper = Image.new("RGB", (columns * cell_width + _GAP, rows * cell_height + _GAP), _PAPER)
    canvas, font = ImageDraw.Draw(paper), _font()
    for index, (image, caption) in enumerate(zip(images, captions, strict=True)):
        row, column = divmod(index, columns)
        x, y = _GAP + column * cell_width, _GAP + row * cell_height
        large = _opened(image).resize((zoom * width, zoom * height), Image.Resampling.NEAREST)
        paper.paste(large, (x, y))
        canvas.text((x, y + zoom * height + _GAP // 4), caption, _INK, font)
    return np.asarray(paper)


def _opened(image: Bytes) -> Image.Image:
    return Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image)


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
