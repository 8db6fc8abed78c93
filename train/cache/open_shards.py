"""Opening the shards of a split through a cache."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from convert.command.byte_sizes import show_bytes
from convert.dataset.folder import Folder, unreadable
from convert.dataset.mapping import REPAIR
from convert.dataset.shard_records import Ints, open_index
from convert.storage.places import is_remote
from train.cache.fetch import Item
from train.cache.folder import CacheFolder
from train.cache.reservations import Member, this_process
from train.cache.shards import CachedShards
from train.cache.window_bytes import largest_window
from train.errors import FormatError, UsageError
from train.records.order import RecordOrder
from train.records.reading.shards import ShardFile, mean_record_bytes

_IN_FLIGHT = 16  # a small file of HDFS takes 3 ms, nearly all of it waiting


def default_folder() -> str:
    """Returns where datasets of HDFS are cached if the user names no folder."""
    caches = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(caches, "shardfeed")


def wanted_folder(folders: Sequence[str], cache: str | None, cache_bytes: int | None) -> str | None:
    """Returns the cache to read some datasets through; None if they are read where they are.

    Raises:
        UsageError: There is a size, and no cache; or the size is no size.
    """
    if cache_bytes is not None and cache_bytes < 1:
        raise UsageError(f"--cache-bytes must be at least 1, got {cache_bytes}.")
    if cache is not None and is_remote(cache):
        raise UsageError(f"--cache must be a folder of this machine, got {cache}.")
    if cache is None and any(map(is_remote, folders)):
        return default_folder()
    if cache is None and cache_bytes is not None:
        raise UsageError("--cache-bytes without --cache: a dataset on this machine has no cache.")
    return cache


def open_shards(
    path: str, cache_bytes: int | None, files: Sequence[ShardFile], orders: Sequence[RecordOrder]
) -> CachedShards:
    """Opens shards through a cache; none is fetched yet.

    Args:
        path: The cache's folder.
        cache_bytes: What it may take. None: half of what is free there, with what it has.
        files: The shards.
        orders: Of each dataset, over its shards, side by side.

    Raises:
        UsageError: The cache cannot be used, or is too small for the windows.
        TryAgainError: Others need so much of it that this reader does not fit in as well.
        FormatError: A shard is missing.
    """
    _require_files(files)
    sizes = [file.shard.bytes for file in files]
    quota, windows, first = 0, 0, 0
    for order in orders:
        window = largest_window(order, sizes[first : first + len(order.shard_records)])
        quota += window
        windows = max(windows, order.num_windows)
        first += len(order.shard_records)
    largest = max(sizes)
    quota = max(quota, largest)
    folder = CacheFolder(path, cache_bytes)
    items = [Item(folder=file.folder, shard=file.shard) for file in files]
    names = tuple(item.name for item in items)
    # One more, so that fetching ahead never waits for what is used now.
    need = quota + (largest if windows > 1 else 0)
    if need > folder.budget:
        raise _too_small(folder, files, orders, need, largest)
    member = Member(
        process=this_process(),
        shards=hashlib.sha256("".join(names).encode()).hexdigest(),
        need=need,
        whole=sum({item.name: item.shard.bytes for item in items}.values()),
        budget=folder.budget,
        names=names,
    )
    return CachedShards(folder, items, quota, folder.admit(member))


def read_indexes(files: Sequence[ShardFile]) -> list[Ints]:
    """Returns what `open_index` does of shards of encoded images, checked by their sha256.

    Raises:
        FormatError: One is missing or damaged.
        TryAgainError: Where they are fails.
    """
    with ThreadPoolExecutor(_IN_FLIGHT) as pool:
        return list(pool.map(lambda f: open_index(f.folder, f.shard, is_hashed=True), files))


def _require_files(files: Sequence[ShardFile]) -> None:
    """Raises `FormatError` unless all shards are where they should be, of the right size."""
    found: dict[Folder, dict[str, int]] = {}
    for file in files:
        if file.folder not in found:
            try:
                found[file.folder] = file.folder.sizes()
            except OSError as error:
                raise unreadable(file.folder.path, error) from error
        size = found[file.folder].get(file.shard.file)
        if size is None:
            raise FormatError(f"{file.path}: no such file. {REPAIR}")
        if size != file.shard.bytes:
            raise FormatError(f"{file.path}: {size} bytes, expected {file.shard.bytes}. {REPAIR}")


def _too_small(
    folder: CacheFolder,
    files: Sequence[ShardFile],
    orders: Sequence[RecordOrder],
    need: int,
    largest: int,
) -> UsageError:
    """Returns the error that a cache cannot hold what is used at once."""
    window = max(order.window for order in orders)
    advice = f"Give --cache-bytes {need} or more"
    fitting = (folder.budget - 3 * largest) // (len(orders) * mean_record_bytes(files))
    if fitting >= 1 and any(order.shuffled for order in orders):
        advice += f", or --window {fitting} or less"
    return UsageError(
        f"{folder.path}: {show_bytes(folder.budget)} are too little for {files[0].folder.path}: "
        f"the shards of a window of {window:,} records, with one that is fetched ahead, take up to "
        f"{need:,} bytes. {advice}."
    )
