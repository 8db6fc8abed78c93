"""Reads the true labels of a manifest's rows, from the columns that the run's labels came from."""

from __future__ import annotations

from typing import Any

from convert.dataset.info import DatasetInfo
from convert.plan.labels.text import normal_text
from convert.plan.manifest import Manifest
from train.predict.sources.inputs import Truth
from train.records.texts import text_of


class TruthFinder:
    """Looks up what rows say.

    Args:
        manifest: The manifest.
        info: The dataset that the run was trained on: its labels were the characters of a text
            column, or columns named as its outputs.

    Attributes:
        is_known: Whether the manifest has these columns.
    """

    def __init__(self, manifest: Manifest, info: DatasetInfo) -> None:
        options, columns = info.options, manifest.columns
        self._is_text = info.reads_text
        names: list[str] = list(info.outputs)
        if self._is_text:
            names = [manifest.text_column or ""]
        self._are_indices = bool(options.get("labels_are_indices"))
        self.is_known = all(name in columns for name in names)
        found = [columns[name] for name in names] if self.is_known else []
        verbatim = options.get("verbatim_labels", False)
        self._columns = found if verbatim else [normal_text(column)[0] for column in found]
        self._info = info
        self._index = [
            {name: index for index, name in enumerate(classes)} for classes in info.classes.values()
        ]

    def of(self, row: int) -> Truth | None:
        """Returns the labels of a row; None if it has none."""
        values: list[Any] = [column[row].as_py() for column in self._columns]
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
