"""FFCV in random order over the page cache, with arrays as they are."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from benchmarks.readers.images import IMAGE_SHAPE, NUM_LABELS, Labels, Pixels, Task, pieces
from benchmarks.readers.serve import Candidates, serve

ffcv: Any = importlib.import_module("ffcv")
fields: Any = importlib.import_module("ffcv.fields")
decoders: Any = importlib.import_module("ffcv.fields.decoders")
ffcv_loader: Any = importlib.import_module("ffcv.loader")
transforms: Any = importlib.import_module("ffcv.transforms")

FILE = "images.beton"


@dataclass(frozen=True, slots=True)
class Records:
    """The images as FFCV indexes them."""

    pixels: Pixels
    labels: Labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Pixels, Labels]:
        return self.pixels[index], self.labels[index]


def make(task: Task) -> None:
    """Writes the dataset."""
    pixels, labels = zip(*pieces(task.num_records), strict=True)
    columns = {
        "image": fields.NDArrayField(np.dtype(np.uint8), IMAGE_SHAPE),
        "label": fields.NDArrayField(np.dtype(np.int32), (NUM_LABELS,)),
    }
    ffcv.DatasetWriter(str(task.folder / FILE), columns, num_workers=1).from_indexed_dataset(
        Records(np.concatenate(pixels), np.concatenate(labels))
    )


class Loader:
    """Goes through the data in a new order each time."""

    def __init__(self, task: Task, threads: int, ahead: int) -> None:
        pipeline = [decoders.NDArrayDecoder(), transforms.ToTensor()]
        self._loader = ffcv_loader.Loader(
            str(task.folder / FILE),
            batch_size=task.batch_size,
            num_workers=threads,
            os_cache=True,
            order=ffcv_loader.OrderOption.RANDOM,
            batches_ahead=ahead,
            pipelines={
                "image": pipeline,
                "label": [decoders.NDArrayDecoder(), transforms.ToTensor()],
            },
        )

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        for images, labels in self._loader:
            yield images, labels[:, 0]


def candidates(task: Task) -> Candidates:
    return {
        f"{threads} thread(s), {ahead} batches ahead": partial(Loader, task, threads, ahead)
        for threads in range(1, (os.cpu_count() or 1) + 1)  # it refuses more
        for ahead in (3, 8)
    }


if __name__ == "__main__":
    serve(make, candidates)
