"""Ours: `train.load_dataset`, TensorFlow tensors through tf.data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.readers.images import Task
from benchmarks.readers.serve import Candidates, serve
from benchmarks.readers.shards import OUTPUTS, make


class Loader:
    """Goes through the data in a new order each time."""

    def __init__(self, task: Task, **options: Any) -> None:
        from train import load_dataset

        self._dataset = load_dataset(str(task.folder), "train", task.batch_size, **options)

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        for images, labels in self._dataset:
            yield images, labels[OUTPUTS[0]]


def candidates(task: Task) -> Candidates:
    return {"as it is by default": lambda: Loader(task)}


if __name__ == "__main__":
    serve(make, candidates)
