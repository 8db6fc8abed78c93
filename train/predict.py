"""Reading image files with a trained model, prepared exactly as in conversion."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from convert.image import ImageOptions, recorded_options, render, to_array
from convert.metadata import DatasetInfo
from convert.storage import SourceReader
from train.errors import ImageError, UsageError
from train.evaluate import read_logits, text_of
from train.folder import RunFolder

if TYPE_CHECKING:
    import keras

_BATCH_SIZE = 64

Bytes = np.ndarray[Any, np.dtype[np.uint8]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Prediction:
    """What a model reads in one image.

    Attributes:
        path: The image.
        text: The predicted classes, joined; empty if there is an error.
        confidence: Probability that the whole text is right, as the model sees it. In [0, 1].
        confidences: The same for each output.
        error: Why the image could not be read, or empty.
    """

    path: str
    text: str = ""
    confidence: float = 0.0
    confidences: tuple[float, ...] = ()
    error: str = ""


def predict_files(run: RunFolder, paths: Sequence[str]) -> Iterator[Prediction]:
    """Yields what a run's best weights read in image files, in the order of the paths.

    Raises:
        UsageError: The run's dataset was cropped by boxes of its manifest.
        FormatError: The model cannot be read.
    """
    info = run.dataset_info()
    options = replace(recorded_options(info.image), encoding="raw")
    if info.image.get("row_boxes"):
        raise UsageError(
            f"{run.path}: its images were cropped by boxes in the manifest, which image files "
            "alone do not have. Crop them first, or convert with --crop."
        )
    model = run.load_model()
    remaining = iter(paths)
    while batch := list(islice(remaining, _BATCH_SIZE)):
        yield from _predict_batch(model, info, options, batch)


def _predict_batch(
    model: keras.Model, info: DatasetInfo, options: ImageOptions, paths: list[str]
) -> Iterator[Prediction]:
    loaded = [_load(path, options) for path in paths]
    images = [image for image in loaded if not isinstance(image, ImageError)]
    readings = iter(_read(model, info, np.stack(images)) if images else ())
    for path, image in zip(paths, loaded, strict=True):
        if isinstance(image, ImageError):
            yield Prediction(path=path, error=str(image))
            continue
        text, confidences = next(readings)
        yield Prediction(
            path=path, text=text, confidence=math.prod(confidences), confidences=confidences
        )


def _load(path: str, options: ImageOptions) -> Bytes | ImageError:
    """Returns a prepared image, or why there is none."""
    try:
        return to_array(render(SourceReader("/").read(os.path.abspath(path)), options), options)
    except ImageError as error:
        return error


def _read(
    model: keras.Model, info: DatasetInfo, images: Bytes
) -> Iterator[tuple[str, tuple[float, ...]]]:
    """Yields text and confidences of each image."""
    logits = model.predict_on_batch(images)
    results = [read_logits(np.asarray(logits[name])) for name in info.outputs]
    classes = np.stack([result[0] for result in results], axis=1)
    confidences = np.stack([result[1] for result in results], axis=1)
    for row in range(len(images)):
        yield text_of(classes[row].tolist(), info), tuple(confidences[row].tolist())
