"""The checks of one shard: its file, where its records lie, and the findings in them."""

from __future__ import annotations

import struct
from typing import Any

import google_crc32c
import numpy as np

from convert.dataset.folder import Folder
from convert.dataset.index import SUFFIX
from convert.dataset.info import DatasetInfo
from convert.dataset.record import FOOTER_BYTES, HEADER_BYTES, layout_of_image, masked_crc
from convert.dataset.shard_records import read_index
from convert.plan.shard_specs import ShardSpec
from convert.verify.findings import Kind, Problem, RecordFindings, record_problem
from convert.verify.shards.shard_bytes import ShardStream
from convert.verify.shards.spans import Span, SpanReport, select_rows
from convert.verify.sidecars import file_size

_HEADER = struct.Struct("<QI")  # length of a record's content, masked CRC of the length

Ints = np.ndarray[Any, np.dtype[Any]]


class ShardCheck:
    """What is known of one shard.

    Args:
        folder: The dataset's folder.
        info: Its description.
        split: The shard's split.
        index: Its index in the split.
        number: Its index in the dataset.

    Attributes:
        shard: The shard's entry in the description.
        split: Its split.
        index: Its index in the split.
        findings: What is wrong with its records.
        readable: Bytes of the shard that are there.
        capacity: Records that may be there at most, by these bytes.
    """

    def __init__(
        self, folder: Folder, info: DatasetInfo, split: str, index: int, number: int
    ) -> None:
        self.shard = shard = info.splits[split][index]
        self.split = split
        self.index = index
        self.findings = RecordFindings()
        self._number = number
        self._info = info
        self._folder = folder
        self._num_whole = 0
        self._sha256: str | None = None
        self._failure = ""
        found = file_size(folder, shard.file, f"shard of {shard.records:,} records")
        self._problems = [found] if isinstance(found, Problem) else []
        self._size = None if isinstance(found, Problem) else found
        self.readable = min(self._size or 0, shard.bytes)
        smallest = info.layout if info.is_raw else layout_of_image(len(info.outputs), 0)
        self.capacity = min(shard.records, self.readable // smallest.stride)

    @property
    def is_as_written(self) -> bool:
        """Whether its sha256 is right."""
        return self._sha256 == self.shard.sha256

    def span(self, expected: ShardSpec | None) -> Span | None:
        """Returns all that can be checked of the shard as one span, or None.

        Args:
            expected: The rows that the manifest has for the shard. None: not known.
        """
        if self._size is None:
            return None
        if self._info.is_raw:
            ends = np.arange(1, self.capacity + 1) * self._info.layout.stride
        else:
            ends = self._ends()[: self.capacity]
        self._num_whole = len(ends)
        end = int(ends[-1]) if len(ends) else 0
        is_complete = (len(ends), end) == (self.shard.records, self.shard.bytes)
        if not len(ends) and not is_complete:
            return None
        return Span(
            file=self.shard.file,
            shard=self._number,
            first=0,
            offset=0,
            bytes=end,
            ends=ends,
            is_hashed=is_complete,
            expected=select_rows(expected, np.arange(len(ends))),
        )

    def take(self, report: SpanReport) -> None:
        """Adds what was found in a span."""
        self.findings.merge(report.findings)
        self._failure = self._failure or report.failure
        self._sha256 = report.sha256 or self._sha256

    def add_not_compared(self) -> None:
        """Notes that it is not known which rows of the manifest are the shard's."""
        text = f"not compared with the manifest, which does not give it {self.shard.records:,} rows"
        self._add("not_compared", text)

    def problems(self) -> list[Problem]:
        """Returns what is wrong with its files as a whole, then with its records.

        Called once, when all of its records are checked.
        """
        self._check_whole()
        return self._problems + self.findings.problems(self.shard.file)

    def _check_whole(self) -> None:
        shard, size = self.shard, self._size
        if self._failure:
            self._add("unreadable", f"cannot be read to its end: {self._failure}")
            return
        if size is None:
            return
        if size < shard.bytes:
            whole = f"{self._num_whole:,} of {shard.records:,} records are whole"
            self._add("truncated", f"truncated: {size:,} of {shard.bytes:,} bytes; {whole}")
        elif self._sha256 is not None and not self.is_as_written and not self._has_damaged():
            self._add("digest", "its sha256 differs though every CRC is right")
        if size > shard.bytes:
            text = f"too long: {size - shard.bytes:,} bytes follow its {shard.bytes:,}"
            if self.is_as_written:
                text += f", which are sound; `truncate -s {shard.bytes}` repairs it"
            self._add("too_long", text)

    def _has_damaged(self) -> bool:
        return bool(self.findings.counts["flipped_bytes"] + self.findings.counts["zeros"])

    def _add(self, kind: Kind, message: str, suffix: str = "") -> None:
        self._problems.append(Problem(kind=kind, file=self.shard.file + suffix, message=message))

    def _ends(self) -> Ints:
        """Returns where each record ends, as far as that can be found."""
        found = file_size(self._folder, self.shard.file + SUFFIX, "index")
        if isinstance(found, Problem):
            self._problems.append(found)
            return self._ends_by_frames()
        ends = self._ends_by_index(found)
        return self._ends_by_frames() if ends is None else ends[ends <= self.readable]

    def _ends_by_index(self, size: int) -> Ints | None:
        """Returns where each record ends by the index, or None if it is not sound.

        Args:
            size: Of the index, in bytes.
        """
        shard = self.shard
        try:
            if size != shard.index_bytes:
                raise ValueError(f"it does not have its {shard.index_bytes:,} bytes")
            return read_index(self._folder, shard, is_hashed=True)[1:]
        except OSError as error:
            self._add("unreadable", f"cannot be read: {error.strerror}", SUFFIX)
        except ValueError as error:
            self._add("index", f"damaged index: {error}", SUFFIX)
        return None

    def _ends_by_frames(self) -> Ints:
        """Returns where each record ends by the records' own lengths, up to a damaged one."""
        ends: list[int] = []
        start, records = 0, self.shard.records
        stream = ShardStream(self._folder, self.shard.file, 0, self.readable)
        try:
            while start + HEADER_BYTES <= self.readable and len(ends) < records:
                length = _length(stream.read(start, HEADER_BYTES))
                if length is None:
                    number = len(ends)
                    detail = (
                        "its length is damaged, and without an index the "
                        f"{records - number - 1:,} records after it are lost"
                    )
                    file = self.shard.file
                    self.findings.add(record_problem("flipped_bytes", file, number, detail))
                    break
                start += HEADER_BYTES + length + FOOTER_BYTES
                ends.append(start)
        except OSError as error:
            self._failure = error.strerror or str(error)
        return np.array([end for end in ends if end <= self.readable], np.int64)


def shard_checks(folder: Folder, info: DatasetInfo) -> list[ShardCheck]:
    """Returns all shards of a dataset."""
    places = [
        (split, index) for split, shards in info.splits.items() for index in range(len(shards))
    ]
    return [ShardCheck(folder, info, *place, number) for number, place in enumerate(places)]


def _length(header: bytes) -> int | None:
    """Returns the length in a frame's header, or None if the header is damaged."""
    length, crc = _HEADER.unpack(header)
    is_sound = masked_crc(google_crc32c.value(header[: HEADER_BYTES - 4])) == crc
    return length if is_sound else None
