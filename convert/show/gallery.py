"""The contact sheet of a split: its records, read and captioned."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from PIL import Image, features

from convert.dataset.info import DatasetInfo
from convert.dataset.read import OpenDataset
from convert.plan.vocabulary import BLANK
from convert.show.font import Typeface, find_typeface
from convert.show.sample import SampledRecord, read_sample
from convert.show.sheet import Caption, draw_sheet
from convert.show.table import shown

_NAMED = 8  # characters that a line names
_MAX_CHARACTERS = 200  # of a label: more than a card holds of the narrowest


@dataclass(frozen=True, kw_only=True, slots=True)
class Gallery:
    """Some records of a split, to be drawn on one sheet.

    Attributes:
        dataset: The dataset.
        split: The split.
        numbers: Which of its records, ascending, at least one.
    """

    dataset: OpenDataset
    split: str
    numbers: Sequence[int]

    def draw(self, title: str, subtitle: str) -> tuple[Image.Image, frozenset[str]]:
        """Draws the sheet.

        The records are read twice, first for the captions that the layout depends on, so that
        their images are never all in memory.

        Returns:
            The sheet, and the characters for which no font was found.

        Raises:
            FormatError: One of the records is damaged.
        """
        labels = [(record.row, record.labels) for record in self._records()]
        names = {self._name(o, c) for _, each in labels for o, c in enumerate(each)}
        heading = shown(title), subtitle
        typeface = find_typeface({*"".join(names), *"".join(heading)})
        joint = "" if self._is_text() else ", "
        captions = [
            Caption(label=self._text(each, joint, typeface), row=row) for row, each in labels
        ]
        height, width, _ = self._info.image_shape
        images = (record.image for record in self._records())
        sheet = draw_sheet(heading, captions, images, (width, height), typeface)
        return sheet, typeface.missing

    @property
    def _info(self) -> DatasetInfo:
        return self.dataset.info

    def _records(self) -> Iterable[SampledRecord]:
        return read_sample(self.dataset, self.split, self.numbers)

    def _name(self, output: int, label: int) -> str:
        """Returns a class's name; nothing for the blank."""
        vocabulary = list(self._info.outputs.values())[output]
        name = self._info.vocabularies[vocabulary][label]
        return "" if name == BLANK else shown(name)

    def _text(self, labels: tuple[int, ...], joint: str, typeface: Typeface) -> str:
        """Returns a label as text; classes that cannot be drawn become numbers."""
        named = [(self._name(output, label), label) for output, label in enumerate(labels)]
        drawn = [
            name if typeface.missing.isdisjoint(name) else f"#{label}"
            for name, label in named
            if name
        ]
        joint = joint if all(len(name) == 1 for name in drawn) else ", "
        text = joint.join(drawn) or shown(BLANK)
        return text if len(text) <= _MAX_CHARACTERS else text[:_MAX_CHARACTERS] + "..."

    def _is_text(self) -> bool:
        """Returns whether all classes are single characters."""
        return all(len(c) <= 1 for classes in self._info.vocabularies.values() for c in classes)


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
