"""The contact sheet of a split: its records, read and captioned, and the file it ends in."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO

from PIL import Image, features

from convert.errors import UsageError
from convert.metadata import DatasetInfo
from convert.os_errors import kind_of
from convert.show.font import Typeface, find_typeface
from convert.show.sample import SampledRecord, read_sample
from convert.show.sheet import Caption, draw_sheet
from convert.show.table import shown
from convert.storage import absolute, filesystem_of, is_remote
from convert.vocabulary import BLANK

_NAMED = 8  # characters that a line names
_MAX_CHARACTERS = 200  # of a label: more than a card holds of the narrowest


@dataclass(frozen=True, kw_only=True, slots=True)
class Gallery:
    """Some records of a split, to be drawn on one sheet.

    Attributes:
        folder: The dataset's folder.
        info: Its description.
        split: The split.
        numbers: Which of its records, ascending, at least one.
    """

    folder: str
    info: DatasetInfo
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
        height, width, _ = self.info.image_shape
        images = (record.image for record in self._records())
        sheet = draw_sheet(heading, captions, images, (width, height), typeface)
        return sheet, typeface.missing

    def _records(self) -> Iterable[SampledRecord]:
        return read_sample(self.folder, self.info, self.split, self.numbers)

    def _name(self, output: int, label: int) -> str:
        """Returns a class's name; nothing for the blank."""
        vocabulary = list(self.info.outputs.values())[output]
        name = self.info.vocabularies[vocabulary][label]
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
        """Tells whether all classes are single characters."""
        return all(len(c) <= 1 for classes in self.info.vocabularies.values() for c in classes)


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


def check_folder(sheets: str, dataset: str) -> None:
    """Makes the folder for the sheets.

    Raises:
        UsageError: It cannot be made, or lies in the dataset, which must hold nothing else.
    """
    if _whole(sheets).startswith(_whole(dataset)):
        raise UsageError(
            f"--sheets {sheets}: is inside the dataset {dataset}, which keeps to what convert "
            "wrote. Choose another folder."
        )
    try:
        filesystem_of(sheets).make_folder(sheets)
    except OSError as error:
        raise kind_of(error)(f"--sheets {sheets}: cannot be made: {error.strerror}.") from error


def _whole(folder: str) -> str:
    """Returns a folder's one name, with a slash at its end."""
    return os.path.join(absolute(folder) if is_remote(folder) else os.path.realpath(folder), "")


def write_png(path: str, image: Image.Image) -> None:
    """Writes a PNG so that it is there whole or not at all, replacing an older one.

    Raises:
        UsageError: It cannot be written there.
        TryAgainError: The disk is full or failed, or HDFS did.
    """
    try:
        if is_remote(path):
            buffer = BytesIO()
            image.save(buffer, "PNG", compress_level=9)
            filesystem_of(path).replace(path, buffer.getvalue())
        else:
            _write_here(path, image)
    except OSError as error:
        raise kind_of(error)(f"{path}: cannot be written: {error.strerror}.") from error


def _write_here(path: str, image: Image.Image) -> None:
    """Writes a PNG on this machine."""
    part = f"{path}.part-{os.getpid()}"
    try:
        with open(part, "wb") as file:
            image.save(file, "PNG", compress_level=9)
        os.replace(part, path)
    finally:
        if os.path.exists(part):
            os.unlink(part)
