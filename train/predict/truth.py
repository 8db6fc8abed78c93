"""What the rows of a manifest say, told from the columns that the run's own labels came from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from convert.metadata import DatasetInfo
from convert.names import TEXT_COLUMN
from train.evaluate import text_of
from train.predict.inputs import Truth

if TYPE_CHECKING:
    import pyarrow as pa


class TruthFinder:
    """Looks up what rows say.

    Args:
        columns: The manifest's columns of text.
        info: The dataset that the run was trained on: its labels were the characters of a text
            column, or columns named as its outputs.

    Attributes:
        is_known: Whether the manifest has these columns.
    """

    def __init__(self, columns: Mapping[str, pa.Array], info: DatasetInfo) -> None:
        options = info.options
        text_column = options.get("text_column")
        if options.get("from_names") and not options.get("label_columns"):
            text_column = TEXT_COLUMN
        names = [text_column] if text_column else list(info.outputs)
        self._is_text = bool(text_column)
        self._are_indices = bool(options.get("labels_are_indices"))
        self.is_known = all(name in columns for name in names)
        self._columns = [columns[name] for name in names] if self.is_known else []
        self._info = info
        self._index = [
            {name: index for index, name in enumerate(classes)} for classes in info.classes.values()
        ]

    def of(self, row: int) -> Truth | None:
        """Returns what a row says; None if it says nothing."""
        values: list[str] = [column[row].as_py() for column in self._columns]
        if not all(values) or not values:
            return None
        if self._is_text:
            return self._truth(list(values[0]))
        if self._are_indices:
            values = [self._name(i, value) for i, value in enumerate(values)]
        return self._truth(values)

    def _truth(self, names: list[str]) -> Truth:
        """Returns the truth of class names; those of a short text are followed by blanks."""
        outputs = len(self._index)
        padded = [*names, *[""] * (outputs - len(names))]
        # A longer text than the run reads is one that it cannot get right.
        classes = tuple(
            index.get(name, -1) if len(names) <= outputs else -1
            for index, name in zip(self._index, padded, strict=False)
        )
        known = -1 not in classes
        separator = "" if all(len(name) <= 1 for name in names) else " "
        text = text_of(classes, self._info) if known else separator.join(names)
        return Truth(text=text, classes=classes)

    def _name(self, output: int, value: str) -> str:
        """Returns the class of an index; the value itself if there is none."""
        classes: Any = list(self._index[output])
        is_index = value.isascii() and value.isdecimal() and int(value) < len(classes)
        return classes[int(value)] if is_index else value
