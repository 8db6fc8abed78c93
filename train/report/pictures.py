"""Images with what was read in them."""

from __future__ import annotations

import base64
import io
import math
from typing import Any

import numpy as np
from PIL import Image

from convert.dataset.info import DatasetInfo
from train.evaluation.predictions import Evaluation
from train.records.texts import text_of
from train.report.content import Picture
from train.report.markup import Html, bar, element
from train.report.mistakes import name_of
from train.report.numbers import percent

_MOST_PIXELS = 1 << 14  # of an image on the page: 36 of them stay below 3 MB, whatever they show

Bytes = np.ndarray[Any, np.dtype[np.uint8]]


def gallery(pictures: list[Picture], evaluation: Evaluation, info: DatasetInfo) -> Html:
    """Returns images side by side, each with its label, what was read, and how surely."""
    return element(
        "div", *(_picture(picture, evaluation, info) for picture in pictures), class_="pictures"
    )


def data_uri(pixels: Bytes) -> str:
    """Returns an image as a `data:` URI of a PNG; one too large for a page is made smaller.

    Args:
        pixels: uint8, shape (height, width, 1, 3 or 4).
    """
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    ratio = math.sqrt(_MOST_PIXELS / (image.width * image.height))
    if ratio < 1:
        size = max(1, int(image.width * ratio)), max(1, int(image.height * ratio))
        image = image.resize(size, Image.Resampling.BOX)
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def _picture(picture: Picture, evaluation: Evaluation, info: DatasetInfo) -> Html:
    labels, read, sure = (
        values[picture.record].tolist()
        for values in (evaluation.labels, evaluation.predictions, evaluation.confidences)
    )
    label, text, sureness = text_of(labels, info), text_of(read, info), math.prod(sure)
    height, width = picture.pixels.shape[:2]
    verdict = "right" if labels == read else "wrong"
    return element(
        "figure",
        element(
            "img",
            src=data_uri(picture.pixels),
            width=width,
            height=height,
            alt=f"Manifest row {picture.row}: labelled {label}, read as {text}",
        ),
        element(
            "figcaption",
            element("span", "label"),
            _names(labels, labels, sure, info),
            element("span", "read"),
            _names(read, labels, sure, info),
            element("span", "sure"),
            element("span", bar(sureness, verdict), percent(sureness), class_="sure"),
            element("small", f"row {picture.row:,}"),
        ),
        class_=verdict,
    )


def _names(classes: list[int], labels: list[int], sure: list[float], info: DatasetInfo) -> Html:
    """Returns the classes of a label; those that are wrong are marked, all say how sure."""
    names = [vocabulary[i] for i, vocabulary in zip(classes, info.classes.values(), strict=True)]
    long = any(len(name) > 1 for name in names)
    marked = []
    for name, index, label, confidence in zip(names, classes, labels, sure, strict=True):
        if not name and index == label:
            continue
        shown = name_of(name)
        title = f"confidence {percent(confidence)}" if classes is not labels else None
        marked.append(
            element("mark", shown, title=title)
            if index != label
            else element("span", shown, title=title)
        )
        marked.append(Html(" ") if long else Html(""))
    return element("span", *marked, class_="text")
