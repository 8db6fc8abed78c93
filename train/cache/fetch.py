"""Fetches one shard into a cache folder, whole and checked."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import threading
from collections.abc import Callable, Sequence

from convert.dataset.mapping import REPAIR
from convert.os_errors import kind_of
from train.cache.counts import CacheCounts
from train.cache.eviction import CachedFile, candidates
from train.cache.folder import CacheFolder
from train.cache.partial_file import Part
from train.cache.reservations import Member
from train.errors import FormatError, RecordError, ShardfeedError, TryAgainError
from train.records.read_ahead import read_ahead
from train.records.reading.shards import ShardFile

_TRIES = 2  # a digest that is wrong twice is wrong where it comes from
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.5  # nobody tells when another process has made room
_GONE = (
    errno.ENOENT,
    errno.EACCES,
    errno.EPERM,
    errno.EISDIR,
    errno.ENOTDIR,
    errno.ELOOP,
    errno.ENXIO,
)

RankOf = Callable[[str], float | None]


class Item(ShardFile):
    """A shard where it comes from."""

    __slots__ = ()

    @property
    def name(self) -> str:
        """Its name in a cache: of equal shards there is one."""
        return f"{self.shard.sha256}-{self.shard.bytes}"


class Fetcher:
    """Brings shards into a cache folder; threads may share it.

    Args:
        folder: The cache.
        rank_of: Returns a file's place among those that the reader uses next; see `eviction`.
        counts: Told of what is done.

    Attributes:
        closed: Set to end what is under way.
    """

    def __init__(self, folder: CacheFolder, rank_of: RankOf, counts: CacheCounts) -> None:
        self._folder, self._rank_of, self._counts = folder, rank_of, counts
        self._sound: dict[str, tuple[int, int]] = {}  # name -> device and inode that were hashed
        self.closed = threading.Event()

    def bring(self, item: Item, *, needed: bool) -> int | None:
        """Returns a descriptor of a shard's file that holds a shared lock on it.

        Args:
            item: The shard.
            needed: Whether to wait for room, and for others that fetch it.

        Returns:
            None: it is not needed yet, and has to wait.

        Raises:
            RecordError: What was fetched is not what the dataset says.
            FormatError: It is missing.
            ReplacedError: Another dataset took the place of its own.
            TryAgainError: The cache's disk, or where it comes from, fails.
        """
        with contextlib.ExitStack() as stack:
            pause = 0.0
            while not self.closed.is_set():
                descriptor = self._present(item, warm=not needed)
                if descriptor is not None:
                    return descriptor
                if not needed and self._folder.is_wanted():
                    return None
                part = self._folder.reserve(
                    item.name, item.shard.bytes, lambda *found: self._choose(item, needed, *found)
                )
                if part is not None:
                    return self._fill(item, part)
                if not needed:
                    return None
                if not pause:
                    stack.enter_context(self._folder.wanted())
                pause = min(max(2 * pause, _FIRST_PAUSE), _LONGEST_PAUSE)
                self.closed.wait(pause)
        return None

    def forget(self, item: Item, descriptor: int) -> None:
        """Takes a shard that was found damaged out of the cache, and closes it."""
        self._sound.pop(item.name, None)
        self._folder.discard(item.name, descriptor)

    def _present(self, item: Item, *, warm: bool) -> int | None:
        """Returns a descriptor of a shard that is in the cache; removes one that is damaged."""
        descriptor = self._folder.open(item.name)
        if descriptor is None:
            return None
        status = os.fstat(descriptor)
        place = (status.st_dev, status.st_ino)
        if status.st_size == item.shard.bytes:
            if self._sound.get(item.name) == place:
                if warm:
                    read_ahead(descriptor, 0, item.shard.bytes)
            elif _digest(descriptor) == item.shard.sha256:
                self._sound[item.name] = place
            if self._sound.get(item.name) == place:
                with contextlib.suppress(OSError):  # another user's
                    os.utime(descriptor)
                return descriptor
        self._folder.discard(item.name, descriptor)
        return None

    def _choose(
        self,
        item: Item,
        needed: bool,
        files: Sequence[CachedFile],
        members: dict[str, Member],
    ) -> list[CachedFile]:
        """Returns the files that may be removed for another one."""
        processes = {member.process for member in members.values()}
        rank = None if needed else self._rank_of(item.name)
        share = self._folder.budget // max(1, len(processes))
        others = frozenset(name for member in members.values() for name in member.names)
        return candidates(files, item.shard.bytes, rank, share, self._rank_of, others)

    def _fill(self, item: Item, part: Part) -> int:
        """Fetches a shard into its part and gives it its name."""
        try:
            with self._counts.fetching:
                with item.folder.reading():
                    self._copy_sound(item, part)
                part.sync()
                descriptor = self._folder.publish(part)
        except BaseException:
            part.remove()
            raise
        status = os.fstat(descriptor)
        self._sound[item.name] = (status.st_dev, status.st_ino)
        self._counts.fetched(item.name, item.shard.bytes)
        return descriptor

    def _copy_sound(self, item: Item, part: Part) -> None:
        """Copies a shard that is what the dataset says."""
        for _ in range(_TRIES):
            part.rewind()
            if self._copy(item, part) == item.shard.sha256:
                return
        raise RecordError(
            f"{item.path}: its sha256 is not that of its dataset.json, {_TRIES} times in a row. "
            f"{REPAIR}"
        )

    def _copy(self, item: Item, part: Part) -> str:
        """Copies a shard; returns the digest of what came, empty if it was too long."""
        digest, left = hashlib.sha256(), item.shard.bytes
        try:
            for piece in item.folder.stream(item.shard.file):
                left -= len(piece)
                if left < 0:
                    return ""
                if self.closed.is_set():
                    raise TryAgainError(f"{item.path}: nobody waits for it any more.")
                part.write(piece)
                digest.update(piece)
        except OSError as error:
            raise _failure(item, error) from error
        return digest.hexdigest()


def _failure(item: Item, error: OSError) -> ShardfeedError:
    """Returns the error for a shard that cannot be read from its source."""
    problem = f"{item.path}: cannot be read: {error.strerror}."
    if error.errno in _GONE:
        return FormatError(f"{problem} {REPAIR}")
    return kind_of(error)(f"{problem} Run the same command again.")


def _digest(descriptor: int) -> str:
    """Returns the sha256 of an open file; empty if it cannot be read."""
    try:
        with open(descriptor, "rb", buffering=0, closefd=False) as file:
            file.seek(0)
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
