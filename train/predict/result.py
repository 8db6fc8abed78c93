"""The prediction for one image, and the accuracy over all."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from convert.dataset.info import DatasetInfo
from train.model.metrics import character_accuracy, exact_match
from train.predict.network import Ints, Reading
from train.predict.sources.inputs import Sample
from train.records.texts import blanks_of, text_of

Alternative = tuple[str, float]
"""A class and its probability, in [0, 1]."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Prediction:
    """What a model reads in one image.

    Attributes:
        path: The image.
        text: The likeliest classes, joined; empty if there is an error.
        confidence: Probability that the whole text is right, as the model sees it. In [0, 1].
        accept: Whether it reaches the threshold, if there is one. None: there is none.
        outputs: The likeliest classes of each output, the first of them first; none if there is
            an error.
        classes: Index of each output's likeliest class.
        truth: The text that it says. None: not known.
        is_right: Whether that was read. None: not known.
        error: Why the image could not be read, or empty.
    """

    path: str
    text: str = ""
    confidence: float = 0.0
    accept: bool | None = None
    outputs: tuple[tuple[Alternative, ...], ...] = ()
    classes: tuple[int, ...] = ()
    truth: str | None = None
    is_right: bool | None = None
    error: str = ""


def predictions(
    samples: Sequence[Sample],
    readings: Sequence[Reading],
    info: DatasetInfo,
    power: float = 1.0,
    threshold: float | None = None,
) -> Iterator[Prediction]:
    """Puts together what was to be read and what was.

    Args:
        samples: Some images or errors.
        readings: Of each output, for those samples that have an image.
        info: The classes.
        power: Of the product of confidences, as in `Scale`.
        threshold: The least confidence that is accepted. None: nothing is said of that.
    """
    index = 0
    for sample in samples:
        truth = None if sample.truth is None else sample.truth.text
        if not isinstance(sample.image, np.ndarray):
            accept = None if threshold is None else False
            yield Prediction(path=sample.path, truth=truth, accept=accept, error=str(sample.image))
            continue
        outputs = tuple(
            tuple(
                (names[class_], confidence)
                for class_, confidence in zip(
                    reading.classes[index].tolist(),
                    reading.confidences[index].tolist(),
                    strict=True,
                )
            )
            for reading, names in zip(readings, info.classes.values(), strict=True)
        )
        classes = tuple(int(reading.classes[index, 0]) for reading in readings)
        confidence = math.prod(alternatives[0][1] for alternatives in outputs) ** power
        index += 1
        yield Prediction(
            path=sample.path,
            text=text_of(classes, info),
            confidence=confidence,
            accept=None if threshold is None else confidence >= threshold,
            outputs=outputs,
            classes=classes,
            truth=truth,
            is_right=None if sample.truth is None else classes == sample.truth.classes,
        )


class Score:
    """Counts how much of what is known was read rightly.

    Args:
        info: The classes.
    """

    def __init__(self, info: DatasetInfo) -> None:
        self._blanks = blanks_of(info)
        # A few bytes an image: a million of them take less than the network does.
        self._labels: list[Ints] = []
        self._classes: list[Ints] = []

    def add(self, samples: Sequence[Sample], found: Sequence[Prediction]) -> None:
        """Counts those that have a truth and were read."""
        pairs = [
            (sample.truth.classes, prediction.classes)
            for sample, prediction in zip(samples, found, strict=True)
            if sample.truth is not None and not prediction.error
        ]
        if pairs:
            labels, classes = zip(*pairs, strict=True)
            self._labels.append(np.array(labels, np.int32))
            self._classes.append(np.array(classes, np.int32))

    def line(self) -> str | None:
        """Returns the accuracies for people; None if nothing was known."""
        if not self._labels:
            return None
        labels, classes = np.concatenate(self._labels), np.concatenate(self._classes)
        return (
            f"exact {exact_match(labels, classes):.1%}, "
            f"characters {character_accuracy(labels, classes, self._blanks):.1%} "
            f"of {len(labels):,} images with a label"
        )
