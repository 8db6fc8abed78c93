"""Raw records to a batch of PyTorch tensors: one join, no tensor for each record."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from benchmarks.readers.images import IMAGE_BYTES, IMAGE_SHAPE, NUM_LABELS

torch: Any = importlib.import_module("torch")

WORKERS = (0, 1, 2, 4)


def collate(records: list[dict[str, bytes]]) -> tuple[Any, Any]:
    """Makes a batch of records that hold `image` and `label`."""
    images = bytearray().join([record["image"] for record in records])
    labels = bytearray().join([record["label"] for record in records])
    return (
        torch.frombuffer(images, dtype=torch.uint8).view(-1, *IMAGE_SHAPE),
        torch.frombuffer(labels, dtype=torch.int32).view(-1, NUM_LABELS),
    )


def collate_whole(records: list[bytes]) -> tuple[Any, Any]:
    """Makes a batch of records that are each an image and its labels in one."""
    joined = np.frombuffer(bytearray().join(records), np.uint8).reshape(len(records), -1)
    images = np.ascontiguousarray(joined[:, :IMAGE_BYTES]).reshape(-1, *IMAGE_SHAPE)
    labels = np.ascontiguousarray(joined[:, IMAGE_BYTES:]).view(np.int32)
    return torch.from_numpy(images), torch.from_numpy(labels)


class Loader:
    """Goes through a PyTorch loader once each time."""

    def __init__(self, loader: Iterable[tuple[Any, Any]]) -> None:
        self._loader = loader

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        for images, labels in self._loader:
            yield images, labels[:, 0]
