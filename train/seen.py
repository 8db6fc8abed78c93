"""Digests of a run's training pictures, to find them in other datasets."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np

from convert.digest import image_digest
from convert.metadata import DatasetInfo
from convert.storage import open_dataset, read_text
from train.errors import RecordError, ShardfeedError
from train.folder import SEEN, RunFolder
from train.loading import open_source
from train.records import RecordReader

Digests = np.ndarray[Any, np.dtype[np.uint64]]

_CHUNK_BYTES = 16 << 20  # of pixels, read at once
_MOST_RAW_BYTES = 4 << 30  # of pixels in a training split: some seconds at a training's end
_MOST_ENCODED_BYTES = 1 << 30  # they are decoded first
_HEADER_BYTES = 1 << 12  # of a .npy file; NumPy writes 128


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
    seen = _read_seen(run)
    if seen is None:
        return None
    return int(np.isin(digests_of(reader, info), seen).sum())


def _read_seen(run: RunFolder) -> Digests | None:
    """Returns the digests that a run wrote, or those of its dataset where that is still there."""
    with contextlib.suppress(OSError, ValueError, MemoryError, ShardfeedError):
        most = _HEADER_BYTES + 8 * run.dataset_info().num_records("train")
        stored = io.BytesIO(read_text(run.file(SEEN), most))
        found = np.lib.format.read_array(stored, allow_pickle=False)
        if found.dtype == np.dtype("<u8") and found.ndim == 1:
            return found.astype(np.uint64)
    config = run.config()
    with contextlib.suppress(ShardfeedError):
        dataset = open_dataset(config["dataset"])
        if dataset.info.dataset_id == config["dataset_id"]:
            source = open_source(dataset, "train", 1, shuffle=False)
            return digests_of(source.reader, dataset.info)
    return None
