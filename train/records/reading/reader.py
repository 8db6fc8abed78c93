"""Reads any records of some shards into a batch; reports or replaces bad records.

`raw` beside it reads records whose images are pixels, `encoded` those that are PNG or JPEG files.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from convert.dataset.folder import Folder
from convert.dataset.info import DatasetInfo
from convert.dataset.mapping import REPAIR
from train.config import OnBadRecord, VerifyRecords
from train.errors import RecordError
from train.records.forks import renew_in_forks
from train.records.reading.bad_record import BadRecord, UnreadableError
from train.records.reading.shards import FarShards, ShardFile, mean_record_bytes, shard_counts

Bytes = np.ndarray[Any, np.dtype[np.uint8]]
Ints = np.ndarray[Any, np.dtype[np.int64]]
Labels = np.ndarray[Any, np.dtype[np.int32]]

UNKNOWN, _SOUND, _BAD = 0, 1, 2  # what is known of a record

SourcesOf = Callable[[Folder, Sequence[int]], list[str]]
"""Returns the paths of images, by their dataset's folder and manifest rows; empty if unknown."""


class RecordReader(ABC):
    """Reads records of some shards in any order; threads may share it.

    Args:
        files: The shards, of one layout.
        info: What they hold.
        verify: Whether to compare a record's CRC: the `first` time that it is read, `always`, or
            never (`off`). Labels out of range are found in any case.
        on_bad: Whether a bad record stops the reader, or is replaced by the next sound one.
        sources_of: Returns the sources of manifest rows, for messages.
        far: The shards, where they have to be brought first. None: they are files of this machine.
        records: Numbers of the records to read, ascending; they are numbered anew from 0. None:
            all records of the shards.

    Attributes:
        far: What brings the shards, or None.
        num_records: Records that are read, of all shards.
        shard_records: How many of them are in each shard.
        image_shape: (height, width, channels) of every image.
        record_bytes: Bytes of a record, frame included; the mean if they differ, rounded up.
        bad_records: What was replaced so far; only with `skip`.
        failure: The error that stopped the last `gather`, for callers behind a layer that
            swallows exceptions.

    Raises:
        FormatError: A shard is missing or does not have its size.
        RecordError: The first or last record of a shard is not one of this dataset.
    """

    def __init__(
        self,
        files: Sequence[ShardFile],
        info: DatasetInfo,
        *,
        verify: VerifyRecords = "first",
        on_bad: OnBadRecord = "stop",
        sources_of: SourcesOf = lambda folder, rows: [""] * len(rows),
        far: FarShards | None = None,
        records: Ints | None = None,
    ) -> None:
        self.files = list(files)
        self.far = far
        self.shard_records = shard_counts(files, records)
        self.num_records = sum(self.shard_records)
        self.image_shape = info.image_shape
        self.record_bytes = mean_record_bytes(files)
        self.bad_records: list[BadRecord] = []
        self.failure: Exception | None = None
        self._info = info
        self._verify, self._on_bad, self._sources_of = verify, on_bad, sources_of
        self._starts = np.cumsum([0, *self.shard_records])
        self._places = None if records is None else _places(files, records)
        self._state = np.full(self.num_records, UNKNOWN, np.uint8)
        self._lock = threading.Lock()
        renew_in_forks(self)

    def after_fork(self) -> None:
        """Replaces the lock in a forked process."""
        self._lock = threading.Lock()

    def gather(self, records: Ints) -> tuple[Bytes, Labels]:
        """Returns the images and labels of some records.

        Args:
            records: Record numbers in [0, num_records), shape (batch,).

        Returns:
            images: uint8, shape (batch, height, width, channels), 64-byte aligned, of the caller.
            labels: int32, shape (batch, outputs).

        Raises:
            RecordError: A record is damaged, and `on_bad` is `stop`.
            TryAgainError: A shard cannot be brought here now.
        """
        try:
            while True:
                found = self._try_to_read(self._without_bad(records))
                if found is not None:
                    return found
        except Exception as error:
            self.failure = error
            raise

    def rows(self, records: Ints) -> Ints:
        """Returns the manifest rows of some records."""

        def read(records: Ints) -> tuple[Ints]:
            found = zip(*self._find(records), strict=True)
            rows = [self._row(int(shard), int(place)) for shard, place in found]
            return (np.array(rows, np.int64),)

        (rows,) = self._by_parts(read, records)
        return rows

    def sources(self, records: Ints) -> list[str]:
        """Returns the paths of some records' images, as the manifest spells them.

        Args:
            records: Record numbers in [0, num_records), shape (batch,).

        Returns:
            One a record; empty where it is not known.
        """
        rows, (shards, _) = self.rows(records), self._find(records)
        places: dict[Folder, list[int]] = {}
        for place, shard in enumerate(shards.tolist()):
            places.setdefault(self.files[shard].folder, []).append(place)
        paths = [""] * len(records)
        for folder, here in places.items():
            found = self._sources_of(folder, rows[here].tolist())
            for place, path in zip(here, found, strict=True):
                paths[place] = path
        return paths

    def labels(self, records: Ints) -> Ints:
        """Returns the labels of some records as they stand there, unchecked, and no image.

        Args:
            records: Record numbers in [0, num_records), shape (batch,).

        Returns:
            Class indices, of a damaged record any numbers; int64, shape (batch, outputs).
        """
        (labels,) = self._by_parts(lambda records: (self._labels_of(records),), records)
        return labels

    def byte_range(self, shard: int, start: int, stop: int) -> tuple[int, int]:
        """Returns where in a shard's file the records [start, stop) read of it begin and end."""
        if self._places is not None:
            start, last = self._places[self._starts[shard] + np.array([start, stop - 1])].tolist()
            stop = last + 1
        return self._byte_range(shard, start, stop)

    @abstractmethod
    def _byte_range(self, shard: int, start: int, stop: int) -> tuple[int, int]:
        """Returns where in a shard's file the records at places [start, stop) begin and end."""

    @abstractmethod
    def memory(self, shard: int) -> Bytes:
        """Returns a shard's mapped file."""

    @abstractmethod
    def _labels_of(self, records: Ints) -> Ints:
        """Returns the labels of records whose shards are held."""

    @abstractmethod
    def _read(self, records: Ints) -> tuple[Bytes, Labels]:
        """Returns images and labels of records whose shards are held.

        Compares CRCs and labels of those that are not known to be sound.

        Raises:
            UnreadableError: Some are bad.
        """

    @abstractmethod
    def _row(self, shard: int, place: int) -> int:
        """Returns the manifest row of a record."""

    def _find(self, records: Ints) -> tuple[Ints, Ints]:
        """Returns the shard of each record and its place in it."""
        shards = np.searchsorted(self._starts, records, side="right") - 1
        if self._places is not None:
            return shards, self._places[records]
        return shards, records - self._starts[shards]

    def _by_parts(
        self, read: Callable[[Ints], tuple[np.ndarray[Any, Any], ...]], records: Ints
    ) -> tuple[np.ndarray[Any, Any], ...]:
        """Calls a function with records while their shards are held, and joins what it returns.

        Args:
            read: Returns arrays that have a row a record.
            records: Shape (batch,).
        """
        if self.far is None:
            return read(records)
        shards, _ = self._find(records)
        parts = self.far.parts(np.flatnonzero(np.bincount(shards)))
        whole: list[np.ndarray[Any, Any]] = []
        for part in parts:
            here = np.flatnonzero(np.isin(shards, part)) if len(parts) > 1 else slice(None)
            with self.far.holding(part):
                found = read(records[here])
            if len(parts) == 1:
                return found
            whole = whole or [np.empty((len(records), *a.shape[1:]), a.dtype) for a in found]
            for target, array in zip(whole, found, strict=True):
                target[here] = array
        return tuple(whole)

    def _without_bad(self, records: Ints) -> Ints:
        """Returns the records to read: those asked for, and others in place of bad ones."""
        bad = self._state[records] == _BAD
        if not bad.any():
            return records
        records = records.copy()
        records[bad] = [self._stand_in(number) for number in records[bad].tolist()]
        return records

    def _try_to_read(self, records: Ints) -> tuple[Bytes, Labels] | None:
        """Returns images and labels; None if some records turned out to be bad.

        Those are known from then on, unless their shards were fetched again: the damage may have
        been on the way to us only.

        Raises:
            RecordError: A record is bad, and `on_bad` is `stop`.
        """
        try:
            images, labels = self._by_parts(self._read, records)
        except UnreadableError as error:
            if not self._fetch_again(list(error.problems)):
                for number, reason in sorted(error.problems.items()):
                    self._set_bad(number, reason)
            return None
        if self._verify != "always":
            self._state[records] = _SOUND
        return images, labels

    def _fetch_again(self, numbers: Sequence[int]) -> bool:
        """Lets the shards of records be brought again; False if that changes nothing."""
        if self.far is None:
            return False
        shards, _ = self._find(np.array(numbers))
        return self.far.fetch_again(np.unique(shards))

    def _set_bad(self, number: int, reason: str) -> None:
        """Writes a bad record down, or stops."""
        bad = self._describe(number, reason)
        if self._on_bad == "stop":
            raise RecordError(f"{bad}. {REPAIR}")
        with self._lock:
            if self._state[number] != _BAD:
                self._state[number] = _BAD
                self.bad_records.append(bad)

    def _describe(self, number: int, reason: str) -> BadRecord:
        (shard,), (place,) = self._find(np.array([number]))
        (row,) = self.rows(np.array([number])).tolist()
        return BadRecord(
            shard=self.files[shard].path,
            record=int(place),
            row=row,
            source=self._sources_of(self.files[shard].folder, [row])[0],
            reason=reason,
        )

    def _stand_in(self, number: int) -> int:
        """Returns the next sound record after a bad one, the first again after the last."""
        for candidate in range(number + 1, number + self.num_records):
            candidate %= self.num_records
            # Read alone: the batch is read once more, not once for each of a run of bad ones.
            while self._state[candidate] != _BAD:
                if self._try_to_read(np.array([candidate])) is not None:
                    return candidate
        raise RecordError(f"{self._describe(number, 'is bad, and so are all others')}. {REPAIR}")


def _places(files: Sequence[ShardFile], records: Ints) -> Ints:
    """Returns where in its shard each of some records lies; see `RecordReader`."""
    ends = np.cumsum([file.shard.records for file in files])
    shards = np.searchsorted(ends, records, side="right")
    return records - (ends - [file.shard.records for file in files])[shards]
