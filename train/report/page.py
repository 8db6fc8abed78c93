"""The report of a run as one page: numbers for its template, in the order of its sections."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, fields
from datetime import UTC, datetime
from typing import Any

import numpy as np

from convert.dataset.info import DatasetInfo
from train.config import TrainConfig
from train.evaluation.confusion import confused_pairs, confusion_matrix
from train.evaluation.predictions import Evaluation, rare_classes
from train.evaluation.scores import COVERAGES, PRECISIONS
from train.pages.numbers import compact, duration, interval, percent, size
from train.pages.render import render
from train.records.texts import text_of
from train.report import charts
from train.report.content import Content, Picture

# Config.json has them as they were resolved, so whether the user asked for it is not known.
_UNKNOWN = ("run", "window", "head", "precision")
_FEW_CLASSES = 10  # the first five of them say little: chance alone has half of them right


def page(content: Content) -> str:
    """Returns the report as one HTML file that asks for nothing else."""
    last, rows = content.history[-1], [_ordered(row) for row in content.history]
    sizes = sorted({len(classes) for classes in content.info.classes.values()})
    return render(
        "report/report.html.jinja",
        content=content,
        info=content.info,
        class_sizes=sizes,
        has_top5=sizes[-1] > _FEW_CLASSES,
        times=[_minute(time) for time in (content.started, content.ended) if time is not None],
        last=last,
        seconds=sum(row["seconds"] for row in content.history),
        learning=charts.learning(content),
        is_average=_is_average(content),
        columns=[name.replace("_", " ") for name in rows[0]],
        history=[[_cell(*item) for item in row.items()] for row in rows],
        speed=charts.speed(content),
        options=list(_options(content)),
        model=_model(content),
        data=_data(content),
        environment=_environment(content),
        **_validation(content),
    )


def _validation(content: Content) -> dict[str, Any]:
    """Returns what the sections show that only a run with a validation split has."""
    if content.validation is None:
        return {"evaluation": None}
    evaluation, info = content.validation.evaluation, content.info
    selection, evidence = evaluation.selection(), evaluation.evidence()
    labels, characters = evaluation.label_reliability(), evaluation.character_reliability()
    cuts = {precision: evidence.acceptance(precision) for precision in PRECISIONS}
    return {
        "evaluation": evaluation,
        "interval": interval(evaluation.exact, len(evaluation.labels)),
        "cut": cuts[0.99],
        "calibration": content.calibration,
        "label_error": labels.error,
        "character_error": characters.error,
        "confidence": [
            charts.coverage(selection, cuts[0.99]),
            charts.reliability(labels, "Reliability of whole labels"),
            charts.reliability(characters, "Reliability of characters"),
        ],
        "cuts": list(cuts.items()),
        "surest": [(share, selection.at_coverage(share)) for share in COVERAGES[1:]],
        "confused": confused_pairs(evaluation, info),
        "matrix": confusion_matrix(evaluation, info),
        "rare": rare_classes(evaluation, info, content.class_counts),
        "num_wrong": int((~evaluation.exact_records()).sum()),
        "worst": [Card.of(one, evaluation, info) for one in content.validation.worst],
        "random": [Card.of(one, evaluation, info) for one in content.validation.random],
    }


def _minute(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _ordered(row: Mapping[str, float]) -> dict[str, float]:
    """Returns a row of the history with the columns of validation before those of training."""
    first = ["epoch", "step", *(name for name in row if name.startswith("validation_"))]
    return {name: row[name] for name in dict.fromkeys([*first, *row])}


def _is_average(content: Content) -> bool:
    """Returns whether averaged weights were validated, and training looks worse than they do."""
    return bool(content.options.get("ema")) and any(
        content.at_best(name) < content.at_best(f"validation_{name}")
        for name in ("exact", "character_accuracy")
    )


def _cell(name: str, value: float) -> str:
    """Returns a number of the history as text."""
    if not math.isfinite(value):
        return ""
    if name.endswith(("exact", "accuracy", "input_wait")):
        return percent(value)
    if name.endswith("loss"):
        return f"{value:.4f}"
    return duration(value) if name == "seconds" else compact(value)


def _options(content: Content) -> Iterator[tuple[str, str, str | None]]:
    """Yields name, value and, of an option that has another value, the default."""
    for field in fields(TrainConfig):
        if field.name in content.options:
            value = content.options[field.name]
            has_default = field.default is not MISSING and field.name not in _UNKNOWN
            usual = not has_default or value == field.default
            default = None if usual else _written(field.default)
            yield field.name.replace("_", "-"), _written(value), default


def _model(content: Content) -> list[tuple[str, str]]:
    return [
        ("network", _written(content.options.get("model"))),
        ("parameters", f"{content.parameters:,}"),
        ("best.keras", size(content.model_bytes)),
        ("outputs", f"{len(content.info.outputs):,}"),
    ]


def _data(content: Content) -> list[tuple[str, str]]:
    info = content.info
    height, width, channels = info.image_shape
    bad = [("bad records left out", f"{content.bad_records:,}")] if content.bad_records else []
    return [
        ("images", f"{width}×{height}×{channels}, {info.image.encoding}"),
        *((f"records, {split}", f"{info.num_records(split):,}") for split in info.splits),
        *((f"classes, {name}", f"{len(c):,}") for name, c in info.vocabularies.items()),
        ("dataset id", str(content.options.get("dataset_id", ""))[:8]),
        *bad,
    ]


def _environment(content: Content) -> list[tuple[str, str]]:
    packages = content.environment.get("packages")
    flat = {key: value for key, value in content.environment.items() if key != "packages"}
    flat |= packages if isinstance(packages, dict) else {}
    return [(name, _written(value)) for name, value in flat.items()]


def _written(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True, slots=True)
class Name:
    """A class of a label.

    Attributes:
        text: Its name.
        tag: `mark` if it is wrong, else `span`.
        confidence: How sure the model is of it. In [0, 1].
        gap: What separates it from the next one.
    """

    text: str
    tag: str
    confidence: float
    gap: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Card:
    """An image with what was read in it, as the macro `pictures` shows it.

    Attributes:
        pixels: uint8, shape (height, width, channels).
        row: Its manifest row.
        path: Its image, as the manifest spells it; empty if that is not known.
        verdict: `right` or `wrong`.
        label: The label as text.
        read: What was read, as text.
        label_names: The classes of the label.
        read_names: The classes that were read.
        confidence: Of the whole label.
    """

    pixels: np.ndarray[Any, np.dtype[np.uint8]]
    row: int
    path: str
    verdict: str
    label: str
    read: str
    label_names: list[Name]
    read_names: list[Name]
    confidence: float

    @classmethod
    def of(cls, picture: Picture, evaluation: Evaluation, info: DatasetInfo) -> Card:
        """Returns the card of a record that was read."""
        labels, read, sure = (
            values[picture.record].tolist()
            for values in (evaluation.labels, evaluation.predictions, evaluation.confidences)
        )

        def names(classes: list[int]) -> list[Name]:
            texts = [c[index] for index, c in zip(classes, info.classes.values(), strict=True)]
            gap = " " if any(len(text) > 1 for text in texts) else ""
            return [
                Name(text, "span" if index == label else "mark", confidence, gap)
                for text, index, label, confidence in zip(texts, classes, labels, sure, strict=True)
                if text or index != label
            ]

        return cls(
            pixels=picture.pixels,
            row=picture.row,
            path=picture.path,
            verdict="right" if labels == read else "wrong",
            label=text_of(labels, info),
            read=text_of(read, info),
            label_names=names(labels),
            read_names=names(read),
            confidence=float(evaluation.label_confidences[picture.record]),
        )
