"""The picture that a dry run leaves: training images, each beside augmented versions of it."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from convert.os_errors import failure
from convert.storage.local import write_bytes
from convert.storage.places import absolute
from convert.storage.regular_files import open_regular
from train.errors import UsageError
from train.records.batches import Augment, BatchSource
from train.records.draws import Draws
from train.training.callbacks.board.pictures import fixed_images, sheet

Bytes = np.ndarray[Any, np.dtype[np.uint8]]

VERSIONS = 5
_RECORDS = 8  # with these, and most sizes of images, the picture fits a screen
_SOFTWARE = ("Software", "shardfeed augmented images")
"""Keyword and text by which a picture is known as ours; the PNG standard names the keyword."""


def picture_path(dataset: str) -> str:
    """Returns where the picture of a dataset's training images goes: into the current folder."""
    return f"{os.path.basename(absolute(dataset))}-augmented.png"


def draw_augmented(rows: Sequence[tuple[str, Bytes, Augment]], seed: int) -> Bytes:
    """Draws images, each at the left of augmented versions of it.

    Args:
        rows: Caption of the versions, image, and the function that changes it. The image is uint8,
            shape (height, width, channels), of one shape in all rows.
        seed: Of the changes.

    Returns:
        uint8, shape (height, width, 3).
    """
    images, captions = [], []
    for row, (caption, image, augment) in enumerate(rows):
        draws = Draws(seed=seed, epoch=0, step=row, first=0, count=VERSIONS)
        images += [image, *augment(np.repeat(image[None], VERSIONS, axis=0), draws)]
        captions += ["original", *[caption] * VERSIONS]
    return sheet(np.stack(images), captions, columns=1 + VERSIONS, lines=1)


def write_augmented(path: str, source: BatchSource) -> None:
    """Draws the first training images of a run beside augmented versions, as a PNG.

    Args:
        path: Where to.
        source: Batches to train on, augmented.

    Raises:
        UsageError: Another file stands there, or it cannot be written there.
        TryAgainError: The disk is full or failed.
    """
    assert source.augment is not None
    if os.path.lexists(path) and not _is_ours(path):
        raise UsageError(
            f"{path}: exists and was not drawn by `train fit --dry-run`. Move it away, then look "
            "again."
        )
    rows = [("augmented", image, source.augment) for image in fixed_images(source, _RECORDS)]
    buffer, texts = io.BytesIO(), PngInfo()
    texts.add_text(*_SOFTWARE)
    Image.fromarray(draw_augmented(rows, source.seed)).save(buffer, "PNG", pnginfo=texts)
    try:
        write_bytes(path, buffer.getvalue())
    except OSError as error:
        raise failure(error, f"{path}: cannot be written", "look again") from error


def _is_ours(path: str) -> bool:
    """Returns whether a file is such a picture; reads no pixel of it."""
    try:
        with open(path, "rb", opener=open_regular) as file:
            keyword, text = _SOFTWARE
            return bool(Image.open(file, formats=["PNG"]).info.get(keyword) == text)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False
