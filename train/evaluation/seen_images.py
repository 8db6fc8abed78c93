"""Digests of a run's training pictures, to find them in other datasets."""

from __future__ import annotations

import contextlib
import os
from typing import Any

import numpy as np

from convert.dataset.info import DatasetInfo
from convert.dataset.read import open_dataset
from convert.images.pixels.digest import image_digest
from convert.storage.regular_files import open_regular
from train.errors import RecordError, ShardfeedError
from train.input.open_source import open_source
from train.records.reading.reader import RecordReader
from train.runs.files.archives import read_array
from train.runs.folder import SEEN, RunFolder

Digests = np.ndarray[Any, np.dtype[np.uint64]]

_CHUNK_BYTES = 16 << 20  # of pixels, read at once
_MOST_RAW_BYTES = 4 << 30  # of pixels in a training split: some seconds at a training's end
_HEADER_BYTES = 4096  # of a file of digests; NumPy's take 128
_MOST_ENCODED_BYTES = 1 << 30  # they are decoded first


def digests_of(reader: RecordReader, info: DatasetInfo) -> Digests:
    """Returns the digest of each record's pixels.

    Args:
        reader: The records.
        info: Their dataset.

    Raises:
        RecordError: A record is damaged.
    """
    height, width, channels = info.image_shape
    chunk = max(1, _CHUNK_BYTES // (height * width * channels))
    digests: list[int] = []
    for start in range(0, reader.num_records, chunk):
        images, _ = reader.gather(np.arange(start, min(start + chunk, reader.num_records)))
        digests += [image_digest(image.tobytes()) for image in images]
    return np.array(digests, np.uint64)


def write_seen(run: RunFolder, training: RecordReader) -> None:
    """Writes the digests of a run's training split, unless it is too large to be read again.

    Args:
        run: The run.
        training: The records of its training split.

    Raises:
        TryAgainError: The disk is full or damaged.
    """
    info = run.dataset_info()
    height, width, channels = info.image_shape
    most = _MOST_RAW_BYTES if info.is_raw else _MOST_ENCODED_BYTES
    if training.num_records * height * width * channels > most:
        run.remove(SEEN)
        return
    try:
        digests = np.unique(digests_of(training, info))
    except RecordError:  # training stood it, or passed it over: no reason to fail at the end
        run.remove(SEEN)
        return
    run.write_array(SEEN, digests.astype("<u8"))


def count_seen(run: RunFolder, reader: RecordReader, info: DatasetInfo) -> int | None:
    """Counts the records of another dataset whose pictures a run was trained on.

    Args:
        run: The run.
        reader: The records.
        info: Their dataset.

    Returns:
        None if the pictures that the run was trained on are not known any more.
    """
    seen = seen_digests(run)
    if seen is None:
        return None
    return int(np.isin(digests_of(reader, info), seen).sum())


def seen_digests(run: RunFolder) -> Digests | None:
    """Returns the digests of the pictures that a run was trained on.

    They are those that it wrote, or those of its dataset where that is still there.
    """
    with contextlib.suppress(OSError, ValueError, ShardfeedError):
        most_bytes = _HEADER_BYTES + 8 * _most_records(run)
        with open(run.file(SEEN), "rb", opener=open_regular) as file:
            if os.fstat(file.fileno()).st_size > most_bytes:
                raise ValueError("more digests than records")
            found = read_array(file)
        if found.dtype == np.dtype("<u8") and found.ndim == 1:
            return found.astype(np.uint64)
    config = run.config()
    if config.get("more_datasets") or config.get("leave_out"):
        return None
    with contextlib.suppress(ShardfeedError):
        dataset = open_dataset(config["dataset"])
        if dataset.info.dataset_id == config["dataset_id"]:
            source = open_source(dataset, "train", 1, shuffle=False)
            return digests_of(source.reader, dataset.info)
    return None


def _most_records(run: RunFolder) -> int:
    """Returns how many training records a run can have had."""
    info = run.dataset_info()
    if not run.config().get("more_datasets"):
        return info.num_records("train")
    height, width, channels = info.image_shape
    return _MOST_RAW_BYTES // (height * width * channels)
