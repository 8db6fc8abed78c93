"""The images that a run shows, with captions and tables, as messages for TensorBoard."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont, features

from convert.dataset.info import DatasetInfo
from train.evaluation.predictions import Evaluation
from train.records.batches import BatchSource
from train.records.texts import text_of

Bytes = np.ndarray[Any, np.dtype[np.uint8]]

NUM_IMAGES = 16
WORST = "validation/worst_predictions"

_COLUMNS = 2  # TensorBoard shows a picture 350 pixels wide
# Longer side of an image in the picture: smaller ones are enlarged, larger ones reduced, by whole
# numbers, so that pixels stay what they are as far as can be.
_SMALL, _LARGE = 256, 512
_GAP = 8
_TEXT_SIZE, _LINES = 18, 3  # of a caption
_PAPER, _INK = (255, 255, 255), (0, 0, 0)
_SPECIAL = re.compile(r"([\\`*_{}\[\]()#+.!|<>~-])")  # of Markdown


def training_images(source: BatchSource, info: DatasetInfo) -> Iterator[Any]:
    """Yields a `Summary` of each of the first images of a run, just as the network gets them.

    The label is in the tag, since a browser finds fonts for it.

    Args:
        source: Batches to train on.
        info: Of the dataset.
    """
    images, *columns = source.batch(0, 0)
    labels = np.stack(columns, axis=1)[:NUM_IMAGES].tolist()
    for number, label in enumerate(labels):
        tag = f"training_images/{number + 1:02d} {text_of(label, info)}"
        yield image_summary(tag, images[number])


def worst_predictions(
    evaluation: Evaluation, source: BatchSource, info: DatasetInfo
) -> Iterator[Any]:
    """Yields a picture of the records with the largest losses, and a table of what was read.

    Args:
        evaluation: Of all records of the source, in its order.
        source: Where the records come from; not shuffled.
        info: Of the dataset.
    """
    worst = np.argsort(-evaluation.losses, kind="stable")[:NUM_IMAGES]
    records = np.concatenate([source.order.records(0, index, index + 1) for index in worst])
    images, _ = source.reader.gather(records)
    confidences = evaluation.label_confidences
    rows = [
        (
            number,
            text_of(evaluation.labels[index].tolist(), info),
            text_of(evaluation.predictions[index].tolist(), info),
            f"{confidences[index]:.1%}",
            f"{evaluation.losses[index]:.2f}",
            source_row,
            path,
        )
        for number, (index, source_row, path) in enumerate(
            zip(worst, source.reader.rows(records), source.reader.sources(records), strict=True), 1
        )
    ]
    yield image_summary(WORST, sheet(images, [_caption(*row[:4]) for row in rows]))
    header = ("no.", "true", "read as", "confidence", "loss", "row of the manifest", "image")
    yield table_summary(WORST, header, rows)


def _caption(number: int, true: str, predicted: str, confidence: str) -> str:
    """Returns the lines below an image; what Pillow has no glyphs for is only in the table."""
    texts = f"\n{true}\n{predicted}"
    return f"{number}  {confidence}{texts if texts.isascii() else ''}"


def fixed_images(source: BatchSource, count: int) -> Bytes:
    """Returns the first images of a split, not augmented: the same ones in each session.

    Args:
        source: Batches of the split.
        count: At most so many.

    Returns:
        uint8, shape (images, height, width, channels).
    """
    # Not through a batch: that would tell the reading ahead of another place than the next.
    count = min(count, source.batch_size, source.order.num_records)
    return source.reader.gather(source.order.records(0, 0, count))[0]


def sheet(
    images: Bytes, captions: Sequence[str], *, columns: int = _COLUMNS, lines: int = _LINES
) -> Bytes:
    """Returns images side by side, each with its caption below.

    Args:
        images: uint8, shape (images, height, width, channels), of 1 or 3 channels.
        captions: Lines of ASCII: Pillow brings no glyphs for more. A line that is wider than its
            column ends in "...".
        columns: Images side by side, at most.
        lines: Most lines of a caption.

    Returns:
        uint8, shape (height, width, 3).
    """
    pictures = [_fitted(image) for image in images]
    height, width = pictures[0].height, max(pictures[0].width, _SMALL)
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    cell_width, cell_height = width + _GAP, height + lines * _TEXT_SIZE + 2 * _GAP
    paper = Image.new("RGB", (columns * cell_width + _GAP, rows * cell_height + _GAP), _PAPER)
    canvas, font = ImageDraw.Draw(paper), _font()
    for index, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        row, column = divmod(index, columns)
        x, y = _GAP + column * cell_width, _GAP + row * cell_height
        paper.paste(picture, (x, y))
        for number, line in enumerate(caption.split("\n")):
            place = (x, y + height + _GAP // 4 + number * _TEXT_SIZE)
            canvas.text(place, _shortened(line, font, width), _INK, font)
    return np.asarray(paper)


def _shortened(line: str, font: Any, width: int) -> str:
    """Returns a line that is at most `width` pixels wide."""
    while font.getlength(line) > width:
        line = f"{line[:-4]}..."
    return line


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


def table_summary(tag: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> Any:
    """Returns a `Summary` with a table.

    Args:
        tag: Under which TensorBoard shows it.
        header: Titles of the columns.
        rows: As many cells each as there are titles.
    """
    from tensorboardX.summary import text

    lines = [header, ["---"] * len(header), *([_literal(cell) for cell in row] for row in rows)]
    return text(tag, "\n".join("| " + " | ".join(line) + " |" for line in lines))


def _literal(cell: object) -> str:
    """Returns a cell as text in which nothing is Markdown."""
    return _SPECIAL.sub(r"\\\1", " ".join(str(cell).split())) or "(none)"
