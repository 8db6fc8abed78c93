"""Predictions as lines of CSV or JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import Protocol

from convert.command.printed import csv_cell, json_line
from train.predict.result import Alternative, Prediction

_ACCEPT = {True: "accept", False: "review"}

_JSON_DIGITS = 6  # a float32 near 1 has no more


class Table(Protocol):
    """Makes lines of predictions."""

    def header(self) -> str:
        """Returns the first line of the file."""

    def lines(self, predictions: Iterable[Prediction]) -> str:
        """Returns a line for each prediction."""


class CsvTable:
    """Predictions as CSV; probabilities with four digits.

    Args:
        top_k: Alternatives of each output; 0: there is no such column.
        has_truths: Whether there are columns for what is true.
        has_threshold: Whether there is a column for what is accepted.
    """

    def __init__(self, top_k: int, has_truths: bool, has_threshold: bool = False) -> None:
        self._columns = ["path", "text", "confidence", "error", "confidences"]
        self._columns += ["accept"] if has_threshold else []
        self._columns += ["alternatives"] if top_k else []
        self._columns += ["truth", "right"] if has_truths else []

    def header(self) -> str:
        """Returns the names of the columns."""
        return _csv([self._columns])

    def lines(self, predictions: Iterable[Prediction]) -> str:
        """Returns a line for each prediction."""
        return _csv([cells[name] for name in self._columns] for cells in map(_cells, predictions))


def _csv(rows: Iterable[list[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(
        [csv_cell(cell) for cell in row] for row in rows
    )
    return text.getvalue()


def _cells(prediction: Prediction) -> dict[str, str]:
    return {
        "path": prediction.path,
        "text": prediction.text,
        "confidence": "" if prediction.error else f"{prediction.confidence:.4f}",
        "error": prediction.error,
        "confidences": " ".join(f"{output[0][1]:.4f}" for output in prediction.outputs),
        "accept": _ACCEPT[bool(prediction.accept)],
        "alternatives": " ".join(map(_alternatives, prediction.outputs)),
        "truth": prediction.truth or "",
        "right": "" if prediction.is_right is None else str(int(prediction.is_right)),
    }


def _alternatives(output: tuple[Alternative, ...]) -> str:
    return "|".join(f"{name}:{confidence:.4f}" for name, confidence in output)


class JsonTable:
    """Predictions as JSON Lines.

    Args:
        outputs: Names of the outputs.
        top_k: Alternatives of each output; 0: none are told.
        has_truths: Whether to tell what is true.
    """

    def __init__(self, outputs: Iterable[str], top_k: int, has_truths: bool) -> None:
        self._outputs = tuple(outputs)
        self._top_k, self._has_truths = top_k, has_truths

    def header(self) -> str:
        """Returns nothing: every line names its values."""
        return ""

    def lines(self, predictions: Iterable[Prediction]) -> str:
        """Returns a line for each prediction."""
        return "".join(self._line(prediction) for prediction in predictions)

    def _line(self, prediction: Prediction) -> str:
        failed = bool(prediction.error)
        content: dict[str, object] = {
            "path": prediction.path,
            "text": None if failed else prediction.text,
            "confidence": None if failed else round(prediction.confidence, _JSON_DIGITS),
            "characters": [
                self._character(name, output)
                for name, output in zip(self._outputs, prediction.outputs, strict=not failed)
            ],
        }
        if prediction.accept is not None:
            content["accept"] = _ACCEPT[prediction.accept]
        if self._has_truths:
            content |= {"truth": prediction.truth, "right": prediction.is_right}
        content["error"] = prediction.error or None
        return json_line(content) + "\n"

    def _character(self, name: str, output: tuple[Alternative, ...]) -> dict[str, object]:
        likeliest, confidence = output[0]
        character: dict[str, object] = {
            "output": name,
            "class": likeliest,
            "confidence": round(confidence, _JSON_DIGITS),
        }
        if self._top_k:
            character["top"] = [
                {"class": other, "confidence": round(share, _JSON_DIGITS)}
                for other, share in output
            ]
        return character
