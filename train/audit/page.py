"""audit.html: a gallery of doubtful labels, in which a person decides what is right."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np
from markupsafe import Markup

from train.audit.findings import Findings
from train.pages.render import render

CORRECTIONS = "corrections.csv"
"""What the page calls the file of decisions."""

_UNCERTAIN = 60
_PAIRS = 60
_SHARE = 4  # of the pictures that the user allows, one in so many for each of these


@dataclass(frozen=True, kw_only=True, slots=True)
class Name:
    """A class of a label or a reading.

    Attributes:
        text: Its name.
        is_marked: Whether the other one has another class there.
        confidence: Its probability. In [0, 1].
        gap: What separates it from the next one.
    """

    text: str
    is_marked: bool
    confidence: float
    gap: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Card:
    """A record on the page.

    Attributes:
        number: Its number in the judgement, which names it on the page.
        pixels: uint8, shape (height, width, channels).
        row: Its manifest row.
        path: Its image, as the manifest spells it; empty if that is not known.
        split: Its split.
        label: What it is labelled.
        reading: What is read in it.
        label_names: The classes of the label.
        reading_names: The classes of the reading.
        belief: How far the label is believed. In [0, 1].
        sureness: How sure the model is of its reading. In [0, 1].
        is_suspected: Whether the label is suspected to be wrong.
        is_seen: Whether its judge was trained on it. None: not known.
        judge: The run that has judged it.
    """

    number: int
    pixels: np.ndarray[Any, np.dtype[np.uint8]]
    row: int
    path: str
    split: str
    label: str
    reading: str
    label_names: list[Name]
    reading_names: list[Name]
    belief: float
    sureness: float
    is_suspected: bool
    is_seen: bool | None
    judge: str


def page(found: Findings, most: int) -> str:
    """Returns the page as one HTML file that asks for nothing else.

    Args:
        found: What the audit found.
        most: Doubtful records that are shown at most.
    """
    twins = found.twins[: max(1, min(_PAIRS, most // _SHARE))]
    pairs = _cards(found, [number for pair in twins for number in (pair.first, pair.second)])
    script = files("train.audit").joinpath("audit.js").read_text(encoding="utf-8")
    return render(
        "audit/audit.html.jinja",
        found=found,
        name=os.path.basename(os.path.abspath(found.run)),
        corrections=CORRECTIONS,
        doubtful=_cards(found, found.doubtful[:most]),
        pairs=list(zip(twins, pairs[::2], pairs[1::2], strict=True)),
        uncertain=_cards(found, found.uncertain(max(1, min(_UNCERTAIN, most // _SHARE)))),
        key=_key(found),
        script=Markup(script),
        script_digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def _key(found: Findings) -> str:
    """Returns what a browser keeps decisions under: the same for the same records and labels."""
    return f"shardfeed audit {found.info.dataset_id}"


def _cards(found: Findings, numbers: Sequence[int]) -> list[Card]:
    paths = found.paths(numbers)
    return [_card(found, number, path) for number, path in zip(numbers, paths, strict=True)]


def _card(found: Findings, number: int, path: str) -> Card:
    judged = found.judgement
    labels, readings = judged.labels[number], judged.readings[number]
    return Card(
        number=number,
        pixels=found.picture(number),
        row=int(judged.row[number]),
        path=path,
        split=found.splits[int(judged.split[number])],
        label=found.label(number),
        reading=found.reading(number),
        label_names=_names(found, labels, readings, judged.beliefs[number]),
        reading_names=_names(found, readings, labels, judged.confidences[number]),
        belief=float(judged.belief[number]),
        sureness=float(judged.sureness[number]),
        is_suspected=bool(found.is_suspected[number]),
        is_seen=found.seen(number),
        judge=found.judge(number),
    )


def _names(found: Findings, classes: Any, others: Any, probabilities: Any) -> list[Name]:
    """Returns classes with those marked that the others do not have; blanks only if they differ."""
    texts = [
        names[index]
        for index, names in zip(classes.tolist(), found.info.classes.values(), strict=True)
    ]
    gap = " " if any(len(text) > 1 for text in texts) else ""
    return [
        Name(text=text, is_marked=one != other, confidence=float(sure), gap=gap)
        for text, one, other, sure in zip(texts, classes, others, probabilities, strict=True)
        if text or one != other
    ]
