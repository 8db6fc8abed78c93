"""The usual Sequence over data/sample: open, crop, resize, one-hot, for every image again."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.converters.strips import BOX, OUTPUTS, SIZE
from benchmarks.readers.images import Task
from benchmarks.readers.serve import Candidates, serve

SAMPLE = Path(__file__).resolve().parents[2] / "data" / "sample"


class Loader:
    """Goes through the files, a batch at a time."""

    def __init__(self, task: Task) -> None:
        import keras
        import tensorflow as tf
        from PIL import Image

        with open(SAMPLE / "manifest.csv", encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        classes = sorted({row[output] for row in rows for output in OUTPUTS})

        class Strips(keras.utils.PyDataset):  # type: ignore[misc]
            def __len__(self) -> int:
                return len(rows) // task.batch_size

            def __getitem__(self, index: int) -> tuple[Any, Any]:
                batch = rows[index * task.batch_size : (index + 1) * task.batch_size]
                images = np.stack([self._image(row["path"]) for row in batch])
                labels = np.array([[classes.index(row[name]) for name in OUTPUTS] for row in batch])
                hot = keras.utils.to_categorical(labels, len(classes))
                return tf.constant(images), tf.constant(hot)

            def _image(self, path: str) -> np.ndarray[Any, Any]:
                with Image.open(SAMPLE / path) as image:
                    return np.asarray(image.convert("RGB").crop(BOX).resize(SIZE))

        self._strips = Strips()

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        for index in range(len(self._strips)):
            images, labels = self._strips[index]
            yield images, labels.numpy()[:, 0].argmax(axis=1)


def make(task: Task) -> None:
    """It reads the sample's files, so there is nothing to make."""


def candidates(task: Task) -> Candidates:
    return {"one process": lambda: Loader(task)}


if __name__ == "__main__":
    serve(make, candidates)
