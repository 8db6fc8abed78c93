"""Opens datasets for reading, as the options of `load_dataset` and its like say."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise

from convert.dataset.info import DatasetInfo
from convert.dataset.read import OpenDataset, open_dataset
from convert.storage.heap import keep_freed_memory
from train.cache.fetch_ahead import FetchAhead
from train.cache.open_shards import open_shards, read_indexes, wanted_folder
from train.cache.shards import CachedShards
from train.errors import UsageError
from train.input.augmentation_choice import augmentation
from train.input.image_paths import source_finder
from train.input.options import Paths, SourceArguments, takes
from train.records.batches import Ahead, BatchSource, Order
from train.records.mixture import MixedOrder, MixedReadAhead
from train.records.order import RecordOrder, default_window
from train.records.read_ahead import ReadAhead
from train.records.reading.encoded import open_reader
from train.records.reading.reader import Ints, RecordReader
from train.records.reading.shards import ShardFile, mean_record_bytes, shard_counts


def open_batches(
    asked: SourceArguments, choose: Callable[[int], Ints] | None = None
) -> BatchSource:
    """Opens a split of a dataset, or of several.

    Args:
        asked: The options.
        choose: Returns the numbers of the records to read, ascending, of so many. None: all.

    Raises:
        FormatError: A folder is no finished dataset.
        ReplacedError: Another dataset took a folder's name meanwhile.
        UsageError: The options do not fit each other or the dataset.
        TryAgainError: The cache is full of shards that other readers need.
    """
    datasets = _opened(asked.path)
    folders = [dataset.path for dataset in datasets]
    infos = [dataset.info for dataset in datasets]
    _check(folders, infos, asked)
    info = common_info(datasets)
    files = _files(datasets, asked.split)
    chosen = choose(sum(file.shard.records for file in files)) if choose else None
    cache = wanted_folder(folders, asked.cache, asked.cache_bytes)
    sizes = shard_counts(files, chosen)
    orders = _orders(files, sizes, infos, asked, is_cached=cache is not None)
    far = None
    with contextlib.ExitStack() as stack:
        for dataset in datasets:
            stack.enter_context(dataset.folder.reading())
        if cache is not None:
            far = open_shards(cache, asked.cache_bytes, files, orders)
        reader = _open_reader(files, datasets, info, far, asked, chosen)
    order, ahead = _mixed(reader, orders, asked)
    augment = augmentation(asked.augment)
    if augment is not None:
        keep_freed_memory()
    source = BatchSource(
        reader=reader,
        order=order,
        read_ahead=ahead,
        output_names=tuple(info.outputs),
        batch_size=asked.batch_size,
        seed=asked.seed,
        augment=augment,
        drop_remainder=(
            asked.is_shuffled if asked.drop_remainder is None else asked.drop_remainder
        ),
        rank=asked.rank,
        num_ranks=asked.num_ranks,
        label_form=asked.labels,
    )
    if not source.num_steps:
        raise UsageError(
            f"{folders[0]}: the split {asked.split!r} has {order.num_records} records, fewer than "
            f"one batch; --batch-size must be at most {order.num_records}, got {asked.batch_size}."
        )
    return source


open_source = takes(SourceArguments)(open_batches)
"""Does the same for (path, split, batch_size, seed) and options by name."""


def _opened(paths: Paths | OpenDataset | Sequence[OpenDataset]) -> list[OpenDataset]:
    """Opens datasets; each is one folder for as long as something of it is read."""
    several = [paths] if isinstance(paths, str | os.PathLike | OpenDataset) else paths
    return [
        one if isinstance(one, OpenDataset) else open_dataset(os.fspath(one)) for one in several
    ]


def common_info(datasets: Sequence[OpenDataset]) -> DatasetInfo:
    """Returns the description that serves for all of several datasets: that with most classes.

    Raises:
        UsageError: They cannot be read as one.
    """
    widest = max(datasets, key=lambda one: sum(map(len, one.info.classes.values())))
    for dataset in datasets:
        _require_equal(datasets[0].path, datasets[0].info, dataset.path, dataset.info)
        _require_first_classes(widest, dataset)
    return widest.info


def _limited(shard_records: Sequence[int], limit: int | None) -> list[int]:
    """Returns how many of each shard's records are among the first `limit` of all."""
    sizes: list[int] = []
    for records in shard_records:
        left = records if limit is None else limit - sum(sizes)
        sizes.append(max(0, min(records, left)))
    return sizes


def _check(folders: list[str], infos: list[DatasetInfo], asked: SourceArguments) -> None:
    """Raises `UsageError` unless everything fits together."""
    split = asked.split
    if not folders:
        raise UsageError("no dataset is named; name at least one.")
    if asked.manifest and len(folders) > 1:
        raise UsageError("a manifest belongs to one dataset; read the datasets one by one to see.")
    for folder, info in zip(folders, infos, strict=True):
        if split not in info.splits:
            present = ", ".join(info.splits)
            raise UsageError(f"{folder}: no split {split!r}; the dataset has {present}.")
        if not sum(shard.records for shard in info.splits[split]):
            raise UsageError(f"{folder}: the split {split!r} has no records.")


def _require_equal(path: str, info: DatasetInfo, other_path: str, other: DatasetInfo) -> None:
    """Raises `UsageError` unless two datasets can be read as one."""
    width, height = info.image.size
    for what, ours, theirs, remedy in (
        (
            "image size",
            info.image_shape,
            other.image_shape,
            f"--size {width} {height} --channels {info.image.channels}",
        ),
        (
            "encoding",
            info.image.encoding,
            other.image.encoding,
            f"--encoding {info.image.encoding}",
        ),
        (
            "outputs",
            list(info.outputs),
            list(other.outputs),
            f"labels of the same outputs and --vocabulary {path}",
        ),
    ):
        if ours != theirs:
            raise UsageError(
                f"{other_path}: its {what} {theirs} is not that of {path}: {ours}. "
                f"Convert it with {remedy}."
            )


def _require_first_classes(widest: OpenDataset, dataset: OpenDataset) -> None:
    """Raises `UsageError` unless classes have the same indices in a dataset as in the widest."""
    for output, classes in dataset.info.classes.items():
        if widest.info.classes[output][: len(classes)] != classes:
            foreign = [name for name in classes if name not in widest.info.classes[output]]
            what = f"{foreign[0]!r} is none of them" if foreign else "their order is another"
            more = f"--vocabulary {widest.path}" + " --add-classes" * bool(foreign)
            raise UsageError(
                f"{dataset.path}: its classes of {output} are not the first ones of "
                f"{widest.path}: {what}. Convert it again with {more}."
            )


def _files(datasets: list[OpenDataset], split: str) -> list[ShardFile]:
    return [
        ShardFile(folder=dataset.folder, shard=shard)
        for dataset in datasets
        for shard in dataset.info.splits[split]
    ]


def _open_reader(
    files: list[ShardFile],
    datasets: list[OpenDataset],
    info: DatasetInfo,
    far: CachedShards | None,
    asked: SourceArguments,
    chosen: Ints | None,
) -> RecordReader:
    more = {} if far is None or info.is_raw else {"starts": read_indexes(files)}
    return open_reader(
        files,
        info,
        verify=asked.verify_records,
        on_bad=asked.on_bad_record,
        sources_of=source_finder(datasets, asked.manifest),
        far=far,
        records=chosen,
        **more,
    )


def _orders(
    files: list[ShardFile],
    sizes: list[int],
    infos: list[DatasetInfo],
    asked: SourceArguments,
    *,
    is_cached: bool,
) -> list[RecordOrder]:
    """Returns the order of all records, or of each dataset's, if they are weighted."""
    shuffle, record_bytes = asked.is_shuffled, mean_record_bytes(files)

    def of(sizes: list[int]) -> RecordOrder:
        limited = _limited(sizes, asked.limit)
        window = asked.window
        if is_cached and not shuffle:  # it changes nothing but what is needed at once
            window = max(1, *sizes)
        if window is None:
            window = default_window(sum(limited), record_bytes)
        return RecordOrder(limited, seed=asked.seed, window=window, shuffle=shuffle)

    if asked.weights is None:
        return [of(sizes)]
    if not shuffle:
        raise UsageError("weights need shuffle=True: without, each record comes once, in order.")
    ends = list(accumulate(len(info.splits[asked.split]) for info in infos))
    return [of(sizes[start:stop]) for start, stop in pairwise([0, *ends])]


def _mixed(
    reader: RecordReader, orders: list[RecordOrder], asked: SourceArguments
) -> tuple[Order, Ahead]:
    """Returns the order of what is read, and what reads it ahead."""
    numbers = accumulate((len(order.shard_records) for order in orders), initial=0)
    aheads = [ahead_of(reader, order, first) for order, first in zip(orders, numbers, strict=False)]
    if asked.weights is None:
        return orders[0], aheads[0]
    mixed = MixedOrder(orders, asked.weights, asked.seed)
    return mixed, MixedReadAhead(mixed, aheads)


def ahead_of(reader: RecordReader, order: RecordOrder, first_shard: int = 0) -> Ahead:
    """Returns the reader-ahead of an order's windows, for local or remote shards.

    Args:
        reader: Has the shards.
        order: Tells what the windows hold.
        first_shard: The reader's number of the order's first shard.
    """
    if isinstance(reader.far, CachedShards):
        return FetchAhead(reader.far, order, first_shard)
    return ReadAhead(reader, order, first_shard)
