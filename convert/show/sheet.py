"""A contact sheet: many records' images in a grid, each with its label and its row."""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

from convert.show.font import Typeface

_WIDTH = 1200  # fits a laptop's screen and a page of documentation
_MAX_HEIGHT = 1800  # one and a half times that; with very many records it gets higher
_MIN_WIDTH = 512  # between the margins: a sheet of one record is no stripe
_MARGIN, _GAP, _PAD = 24, 12, 8
_HEADING = 84  # from the top edge to the first card
_ROOM = _WIDTH - 2 * _MARGIN + _GAP  # for cards, each with the gap at its right
_COLUMNS = range(3, 13)  # fewer leave images blurred or lost in their cards, more leave stamps
_TALLEST = 3 / 4  # of an image, as a share of what it may take in width
_MAX_CAPTION = 360  # a wider label makes all be drawn smaller; what is still wider is cut short
_SPACE = 12  # at least, between a label and the row beside it

_TITLE, _SUBTITLE, _LABEL, _SMALLEST_LABEL, _ROW = 26, 15, 20, 12, 13  # sizes of type, in pixels
_LABEL_LINE, _ROW_LINE, _BASELINE = (
    30,
    18,
    24,
)  # heights of lines; from an image to the label's foot
# Shades of grey only, so that a sheet of grey images can be a grey PNG.
_PAGE, _CARD, _EDGE, _FRAME, _INK, _FAINT = (
    *("#f5f5f5", "#ffffff", "#dedede", "#c8c8c8"),
    *("#1c1c1c", "#858585"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Caption:
    """What stands below an image.

    Attributes:
        label: The record's label as text.
        row: The manifest's row that it comes from.
    """

    label: str
    row: int

    @property
    def note(self) -> str:
        """What stands beside or below the label, smaller."""
        return f"row {self.row}"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Grid:
    """Where everything goes, in pixels.

    Attributes:
        columns: Cards side by side.
        card: (width, height) of a card.
        image: (width, height) of an image as drawn.
        caption: Width that label and row share, or have each if they are stacked.
        stacked: Whether the row stands below the label rather than beside it.
        label: Size of type of the labels.
        size: (width, height) of the sheet.
    """

    columns: int
    card: tuple[int, int]
    image: tuple[int, int]
    caption: int
    stacked: bool
    label: int
    size: tuple[int, int]

    def corner(self, index: int) -> tuple[int, int]:
        """Returns the left top corner of a card."""
        row, column = divmod(index, self.columns)
        return (
            _MARGIN + column * (self.card[0] + _GAP),
            _HEADING + row * (self.card[1] + _GAP),
        )


def draw_sheet(
    heading: tuple[str, str],
    captions: Sequence[Caption],
    images: Iterable[Image.Image],
    size: tuple[int, int],
    typeface: Typeface,
) -> Image.Image:
    """Draws a contact sheet.

    Small images are enlarged by a whole number, so that their pixels stay what they are; large
    ones are reduced.

    Args:
        heading: Title and subtitle.
        captions: One for each image, at least one.
        images: Of mode RGB or L, all of one mode; taken one by one.
        size: (width, height) of every image.
        typeface: Has the glyphs of all texts.

    Returns:
        Of mode RGB, or L where the images are.
    """
    title = _shorten(heading[0], _WIDTH - 2 * _MARGIN, _TITLE, typeface)
    subtitle = _shorten(heading[1], _WIDTH - 2 * _MARGIN, _SUBTITLE, typeface)
    grid = _lay_out((title, subtitle), captions, size, typeface)
    cards = zip(captions, images, strict=True)
    first = next(cards)
    sheet = Image.new(first[1].mode, grid.size, _PAGE)
    canvas = ImageDraw.Draw(sheet)
    typeface.draw(canvas, (_MARGIN, 44), title, _TITLE, _INK)
    typeface.draw(canvas, (_MARGIN, 68), subtitle, _SUBTITLE, _FAINT)
    for index, (caption, image) in enumerate(itertools.chain([first], cards)):
        corner = grid.corner(index)
        _draw_image(sheet, canvas, corner, grid, image)
        _draw_caption(canvas, corner, grid, caption, typeface)
    return sheet


def _lay_out(
    heading: tuple[str, str],
    captions: Sequence[Caption],
    size: tuple[int, int],
    typeface: Typeface,
) -> _Grid:
    """Chooses the largest images that keep the sheet in its height."""
    title, subtitle = heading
    least = max(typeface.width(title, _TITLE), typeface.width(subtitle, _SUBTITLE))
    label, width = _label_size(captions, typeface)
    row = max(typeface.width(caption.note, _ROW) for caption in captions)
    texts = math.ceil(width), math.ceil(row)
    for columns in _COLUMNS:
        widest = _ROOM // columns - _GAP - 2 * _PAD
        image = _fit(size, (widest, round(widest * _TALLEST)))
        grid = _grid(len(captions), image, texts, math.ceil(least), label)
        if grid.size[1] <= _MAX_HEIGHT:
            break
    return grid


def _label_size(captions: Sequence[Caption], typeface: Typeface) -> tuple[int, float]:
    """Returns the size of type in which the longest label fits, and that label's width."""
    for size in range(_LABEL, _SMALLEST_LABEL, -1):
        width = max(typeface.width(caption.label, size) for caption in captions)
        if width <= _MAX_CAPTION:
            return size, width
    return _SMALLEST_LABEL, _MAX_CAPTION


def _fit(size: tuple[int, int], box: tuple[int, int]) -> tuple[int, int]:
    """Returns the size of an image in a box: a whole multiple, or reduced with its proportions."""
    scale = min(box[0] / size[0], box[1] / size[1])
    if scale >= 1:
        return size[0] * int(scale), size[1] * int(scale)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _grid(
    count: int, image: tuple[int, int], texts: tuple[int, int], heading: int, label_size: int
) -> _Grid:
    """Returns the layout of cards with images of some size.

    Args:
        count: Number of cards.
        image: (width, height) of the images as drawn.
        texts: Width of the longest label and of the longest row.
        heading: Width of the heading.
        label_size: Size of type of the labels.
    """
    label, row = texts
    inside = max(image[0], label, row)
    columns = max(1, _ROOM // (inside + 2 * _PAD + _GAP))
    if count >= columns:  # the cards fill the sheet's width
        inside = _ROOM // columns - _GAP - 2 * _PAD
    columns = min(columns, count)
    rows = -(-count // columns)
    beside = label + _SPACE + row
    stacked = beside > inside
    width = inside + 2 * _PAD
    height = _PAD + image[1] + _LABEL_LINE + (_ROW_LINE if stacked else 0) + _PAD
    return _Grid(
        columns=columns,
        card=(width, height),
        image=image,
        caption=inside if stacked else max(image[0], beside),
        stacked=stacked,
        label=label_size,
        size=(
            2 * _MARGIN + max(_MIN_WIDTH, heading, columns * (width + _GAP) - _GAP),
            _HEADING + rows * (height + _GAP) - _GAP + _MARGIN,
        ),
    )


def _draw_image(
    sheet: Image.Image,
    canvas: ImageDraw.ImageDraw,
    corner: tuple[int, int],
    grid: _Grid,
    image: Image.Image,
) -> None:
    """Draws a card, and an image in a frame in the middle of it."""
    (left, top), (width, height) = corner, grid.card
    canvas.rectangle((left, top, left + width - 1, top + height - 1), _CARD, _EDGE)
    left, top, (width, height) = left + (width - grid.image[0]) // 2, top + _PAD, grid.image
    canvas.rectangle((left - 1, top - 1, left + width, top + height), outline=_FRAME)
    larger = width >= image.width
    resample = Image.Resampling.NEAREST if larger else Image.Resampling.LANCZOS
    sheet.paste(image.resize(grid.image, resample), (left, top))


def _draw_caption(
    canvas: ImageDraw.ImageDraw,
    corner: tuple[int, int],
    grid: _Grid,
    caption: Caption,
    typeface: Typeface,
) -> None:
    """Draws label and row below the image: side by side, or one below the other."""
    left = corner[0] + (grid.card[0] - grid.caption) // 2
    baseline = corner[1] + _PAD + grid.image[1] + _BASELINE
    row = typeface.width(caption.note, _ROW)
    room = grid.caption if grid.stacked else grid.caption - _SPACE - row
    label = _shorten(caption.label, room, grid.label, typeface)
    if grid.stacked:
        indents = [(grid.caption - width) / 2 for width in (typeface.width(label, grid.label), row)]
        places = (left + indents[0], baseline), (left + indents[1], baseline + _ROW_LINE)
    else:
        places = (left, baseline), (left + grid.caption - row, baseline)
    typeface.draw(canvas, places[0], label, grid.label, _INK)
    typeface.draw(canvas, places[1], caption.note, _ROW, _FAINT)


def _shorten(text: str, room: float, size: int, typeface: Typeface) -> str:
    """Returns a text that is cut short if it is wider than its room."""
    if typeface.width(text, size) <= room:
        return text
    fits = bisect.bisect_right(
        range(len(text)), room, key=lambda length: typeface.width(text[:length] + "...", size)
    )
    return text[: max(fits - 1, 0)] + "..."
