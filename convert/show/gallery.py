"""The contact sheet of a split: its records, read and captioned."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from PIL import Image, features

from convert.dataset.info import DatasetInfo
from convert.dataset.read import OpenDataset
from convert.plan.labels.vocabulary import BLANK
from convert.show.font import Typeface, find_typeface
from convert.show.sample import read_sample
from convert.show.sheet import Caption, draw_sheet
from convert.show.table import shown

_NAMED = 8  # characters that a line names
_MAX_CHARACTERS = 200  # of a label: more than a card holds of the narrowest


def draw_gallery(
    dataset: OpenDataset, split: str, numbers: Sequence[int], title: str, subtitle: str
) -> tuple[Image.Image, list[int], frozenset[str]]:
    """Draws some records of a split on one sheet.

    The records are read twice, first for the captions that the layout depends on, so that their
    images are never all in memory.

    Args:
        dataset: The dataset.
        split: The split.
        numbers: Which of its records, ascending, at least one.
        title: Of the sheet.
        subtitle: Below it.

    Returns:
        The sheet, the manifest rows of its records in their order, and the characters for which no
        font was found.

    Raises:
        FormatError: One of the records is damaged.
    """
    rows, labels = [], []
    for record in read_sample(dataset, split, numbers):
        rows.append(record.row)
        labels.append(_named(record.labels, dataset.info))
    heading = shown(title), subtitle
    typeface = find_typeface(
        {*"".join(heading), *(c for each in labels for n, _ in each for c in n)}
    )
    is_text = all(len(c) <= 1 for classes in dataset.info.vocabularies.values() for c in classes)
    captions = [
        Caption(label=_text(each, "" if is_text else ", ", typeface), row=row)
        for row, each in zip(rows, labels, strict=True)
    ]
    height, width, _ = dataset.info.image_shape
    images = (record.image for record in read_sample(dataset, split, numbers))
    sheet = draw_sheet(heading, captions, images, (width, height), typeface)
    return sheet, rows, typeface.missing


def _named(labels: Sequence[int], info: DatasetInfo) -> list[tuple[str, int]]:
    """Returns name and index of a label's classes, those that are not blank."""
    found = zip(info.classes.values(), labels, strict=True)
    return [(shown(names[index]), index) for names, index in found if names[index] != BLANK]


def _text(named: list[tuple[str, int]], joint: str, typeface: Typeface) -> str:
    """Returns a label as text; classes that cannot be drawn become numbers."""
    drawn = [name if typeface.missing.isdisjoint(name) else f"#{index}" for name, index in named]
    joint = joint if all(len(name) == 1 for name in drawn) else ", "
    text = joint.join(drawn) or shown(BLANK)
    return text if len(text) <= _MAX_CHARACTERS else text[:_MAX_CHARACTERS] + "..."


def missing_note(characters: Iterable[str]) -> list[str]:
    """Returns a line that tells of characters without a font, and what helps."""
    missing = sorted(characters)
    if not missing:
        return []
    named = " ".join(missing[:_NAMED]) + (" ..." if len(missing) > _NAMED else "")
    if not features.check("freetype2"):
        cure = "Pillow was built without FreeType; with libfreetype-dev it would draw them"
    else:
        cure = "install fonts-wqy-microhei, for instance"
    return [f"no font with these characters was found: {named}; class numbers are drawn; {cure}"]
