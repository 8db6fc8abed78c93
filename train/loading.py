"""Opening datasets for reading: the options of `load_dataset` and its like, and what they mean."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TypedDict, Unpack

from convert.metadata import DatasetInfo
from convert.storage import read_dataset
from train.augment import augment as default_augment
from train.config import OnBadRecord, VerifyRecords
from train.encoded import open_reader
from train.errors import UsageError
from train.heap import keep_freed_memory
from train.mixture import MixedOrder, MixedReadAhead
from train.order import RecordOrder, default_window
from train.origin import source_finder
from train.readahead import ReadAhead
from train.records import RecordReader, ShardFile
from train.source import Ahead, Augment, BatchSource, LabelForm, Order

Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


class SourceOptions(TypedDict, total=False):
    """What a user may say about the batches of a split.

    Attributes:
        shuffle: Whether to shuffle. None, the default: only the split `train`.
        drop_remainder: Whether to leave out a last batch that is short. None: if shuffled.
        augment: Whether to change the images at random, as a function of (seed, epoch, step); or
            a function of your own, (uint8 images, `train.Draws`) -> uint8 images.
        window: Records that are shuffled as one. None: all, if they take less than 4 GiB.
        weights: Shares of several datasets, in any unit. None: each record once an epoch.
        rank: Which part of every batch is made here. In [0, num_ranks).
        num_ranks: Processes that share each batch; side by side their parts are the batch.
        labels: `dict`: {output name: int32 (batch,)}; `array`: one int32 (batch, outputs).
        verify_records: Whether to compare a record's CRC the `first` time that it is read,
            `always`, or never (`off`). Labels out of range are found in any case.
        on_bad_record: `stop`, or `skip`: the next sound record stands in for a bad one.
        manifest: The dataset's manifest, so that messages can name a bad record's source.
        limit: Only the first so many records of each dataset, to debug with. None: all.
    """

    shuffle: bool | None
    drop_remainder: bool | None
    augment: bool | Augment
    window: int | None
    weights: Sequence[float] | None
    rank: int
    num_ranks: int
    labels: LabelForm
    verify_records: VerifyRecords
    on_bad_record: OnBadRecord
    manifest: str | None
    limit: int | None


def open_source(
    paths: Paths, split: str, batch_size: int, seed: int = 0, **options: Unpack[SourceOptions]
) -> BatchSource:
    """Opens a split of a dataset, or of several.

    Args:
        paths: Folders that `convert` made.
        split: `train`, `validation` or `test`.
        batch_size: Records of a batch, of all ranks together. At least 1.
        seed: Of the order and the augmentation. In [0, 2**63).
        **options: See `SourceOptions`.

    Raises:
        FormatError: A folder is no finished dataset.
        UsageError: The options do not fit each other or the dataset.
    """
    several = [paths] if isinstance(paths, str | os.PathLike) else paths
    folders = [os.fspath(path) for path in several]
    infos = [read_dataset(folder) for folder in folders]
    _check(folders, infos, split, batch_size, options)
    reader = _open_reader(folders, infos, split, options)
    shuffle = options.get("shuffle")
    shuffle = split == "train" if shuffle is None else shuffle
    order, ahead = _order(reader, infos, split, seed, shuffle, options)
    drop = options.get("drop_remainder")
    augment = options.get("augment", False)
    if augment:
        keep_freed_memory()
    source = BatchSource(
        reader=reader,
        order=order,
        read_ahead=ahead,
        output_names=tuple(infos[0].outputs),
        batch_size=batch_size,
        seed=seed,
        augment=default_augment if augment is True else augment or None,
        drop_remainder=shuffle if drop is None else drop,
        rank=options.get("rank", 0),
        num_ranks=options.get("num_ranks", 1),
        label_form=options.get("labels", "dict"),
    )
    if not source.num_steps:
        raise UsageError(
            f"{folders[0]}: the split {split!r} has {order.num_records} records, fewer than one "
            f"batch; --batch-size must be at most {order.num_records}, got {batch_size}."
        )
    return source


def _limited(shard_records: Sequence[int], limit: int | None) -> list[int]:
    """Returns how many of each shard's records are among the first `limit` of all."""
    sizes: list[int] = []
    for records in shard_records:
        left = records if limit is None else limit - sum(sizes)
        sizes.append(max(0, min(records, left)))
    return sizes


def _check(
    folders: list[str],
    infos: list[DatasetInfo],
    split: str,
    batch_size: int,
    options: SourceOptions,
) -> None:
    """Raises `UsageError` unless everything fits together."""
    if not folders:
        raise UsageError("no dataset is named; name at least one.")
    _check_numbers(batch_size, options)
    if options.get("manifest") and len(folders) > 1:
        raise UsageError("a manifest belongs to one dataset; read the datasets one by one to see.")
    if options.get("labels", "dict") not in ("dict", "array"):
        raise UsageError(f"labels must be 'dict' or 'array', got {options['labels']!r}.")
    for folder, info in zip(folders, infos, strict=True):
        if split not in info.splits:
            present = ", ".join(info.splits)
            raise UsageError(f"{folder}: no split {split!r}; the dataset has {present}.")
        if not sum(shard.records for shard in info.splits[split]):
            raise UsageError(f"{folder}: the split {split!r} has no records.")
        _require_equal(folders[0], infos[0], folder, info)


def _check_numbers(batch_size: int, options: SourceOptions) -> None:
    """Raises `UsageError` for numbers out of range."""
    if batch_size < 1:
        raise UsageError(f"--batch-size must be at least 1, got {batch_size}.")
    rank, num_ranks = options.get("rank", 0), options.get("num_ranks", 1)
    if not 0 <= rank < num_ranks:
        raise UsageError(f"rank must be in [0, num_ranks), got rank {rank} of {num_ranks}.")
    if batch_size % num_ranks:
        raise UsageError(
            f"{num_ranks} ranks cannot share a batch of {batch_size} evenly; "
            "the batch size, that of all ranks together, must be a multiple of num_ranks."
        )
    limit = options.get("limit")
    if limit is not None and limit < 1:
        raise UsageError(f"limit must be at least 1, got {limit}.")


def _require_equal(path: str, info: DatasetInfo, other_path: str, other: DatasetInfo) -> None:
    """Raises `UsageError` unless two datasets can be read as one."""
    for what, ours, theirs in (
        ("image size", info.image_shape, other.image_shape),
        ("encoding", info.image["encoding"], other.image["encoding"]),
        ("outputs", list(info.outputs), list(other.outputs)),
    ):
        if ours != theirs:
            raise UsageError(f"{other_path}: its {what} {theirs} is not that of {path}: {ours}.")
    if info.classes != other.classes:
        raise UsageError(
            f"{other_path}: its classes are not those of {path}. "
            "Convert both with one --vocabulary."
        )


def _open_reader(
    folders: list[str], infos: list[DatasetInfo], split: str, options: SourceOptions
) -> RecordReader:
    files = [
        ShardFile(folder=folder, shard=shard)
        for folder, info in zip(folders, infos, strict=True)
        for shard in info.splits[split]
    ]
    return open_reader(
        files,
        infos[0],
        verify=options.get("verify_records", "first"),
        on_bad=options.get("on_bad_record", "stop"),
        source_of=source_finder(folders[0], infos[0], options.get("manifest")),
    )


def _order(
    reader: RecordReader,
    infos: list[DatasetInfo],
    split: str,
    seed: int,
    shuffle: bool,
    options: SourceOptions,
) -> tuple[Order, Ahead]:
    """Returns the records' order, and what reads them ahead."""

    def of(shard_records: Sequence[int], first_shard: int) -> tuple[RecordOrder, ReadAhead]:
        shard_records = _limited(shard_records, options.get("limit"))
        window = options.get("window")
        if window is None:
            window = default_window(sum(shard_records), reader.record_bytes)
        order = RecordOrder(shard_records, seed=seed, window=window, shuffle=shuffle)
        return order, ReadAhead(reader, order, first_shard)

    weights = options.get("weights")
    if weights is None:
        return of(reader.shard_records, 0)
    if not shuffle:
        raise UsageError("weights need shuffle=True: without, each record comes once, in order.")
    parts, first = [], 0
    for info in infos:
        sizes = [shard.records for shard in info.splits[split]]
        parts.append(of(sizes, first))
        first += len(sizes)
    mixed = MixedOrder([order for order, _ in parts], weights, seed)
    return mixed, MixedReadAhead(mixed, [ahead for _, ahead in parts])
