"""Makes shards as `convert` does, of the random images."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from benchmarks.readers.images import (
    CHANNELS,
    HEIGHT,
    IMAGE_BYTES,
    NUM_CLASSES,
    NUM_LABELS,
    WIDTH,
    Task,
    records,
)
from convert.dataset.info import DATASET_JSON, DatasetInfo, Shard, shard_file
from convert.dataset.record import RecordLayout, padded_varints
from convert.images.options import ImageOptions

OUTPUTS = tuple(f"y{index}" for index in range(NUM_LABELS))
CLASSES = tuple(chr(0x4E00 + index) for index in range(NUM_CLASSES))
SHARD_BYTES = 128 << 20  # as `convert` cuts by default


def make(task: Task, shard_bytes: int = SHARD_BYTES) -> None:
    """Writes the dataset."""
    layout = RecordLayout(num_labels=NUM_LABELS, image_bytes=IMAGE_BYTES)
    source = enumerate(records(task.num_records))
    starts = range(0, task.num_records, shard_bytes // layout.stride)
    shards = tuple(
        _write(
            task.folder / shard_file("images", "train", index, len(starts)),
            layout,
            islice(source, starts.step),
        )
        for index in range(len(starts))
    )
    (task.folder / DATASET_JSON).write_text(_describe(shards).to_json(), encoding="utf-8")


def _write(
    path: Path, layout: RecordLayout, rows: Iterator[tuple[int, tuple[bytes, bytes]]]
) -> Shard:
    """Writes a shard."""
    digest, count = hashlib.sha256(), 0
    with open(path, "wb", buffering=1 << 20) as file:
        for row, (image, label) in rows:
            labels = padded_varints(np.frombuffer(label, np.int32)).tobytes()
            record = layout.encode(labels, padded_varints(np.array([row])).tobytes(), image)
            file.writelines(record)
            digest.update(b"".join(record))
            count += 1
    size = count * layout.stride
    return Shard(file=path.name, records=count, bytes=size, sha256=digest.hexdigest())


def _describe(shards: tuple[Shard, ...]) -> DatasetInfo:
    """Returns the dataset's description."""
    return DatasetInfo(
        name="images",
        image=ImageOptions(crop=None, size=(WIDTH, HEIGHT), channels=CHANNELS, max_pixels=1),
        outputs=dict.fromkeys(OUTPUTS, "text"),
        vocabularies={"text": CLASSES},
        splits={"train": shards},
        plan_id="0" * 64,
        manifest_sha256="0" * 64,
        options={},
    )
