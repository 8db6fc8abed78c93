"""Ours for an accelerator that augments: as `tensors`, with each image's changes drawn besides."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from benchmarks.readers.images import Task
from benchmarks.readers.serve import Candidates, serve
from benchmarks.readers.shards import OUTPUTS, make


class Loader:
    """Goes through the data in a new order each time."""

    def __init__(self, task: Task) -> None:
        from train.input.open_source import open_source
        from train.input.tf_dataset import as_tf_dataset
        from train.records.augmentation_draws import DEFAULT

        source = open_source(str(task.folder), "train", task.batch_size, augment=True)
        self._dataset = as_tf_dataset(replace(source, device_strength=DEFAULT))

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        for (images, changes), labels in self._dataset:
            assert len(changes) == len(images)
            yield images, labels[OUTPUTS[0]]


def candidates(task: Task) -> Candidates:
    return {"as it is by default": lambda: Loader(task)}


if __name__ == "__main__":
    serve(make, candidates)
