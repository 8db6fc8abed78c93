"""The checks of one shard: its file, where its records lie, and the findings in them."""

from __future__ import annotations

import struct
from typing import Any

import google_crc32c
import numpy as np

from convert.dataset.folder import Folder
from convert.dataset.index import SUFFIX
from convert.dataset.info import DatasetInfo, Shard
from convert.dataset.record import FOOTER_BYTES, HEADER_BYTES, layout_of_image, masked_crc
from convert.dataset.shard_records import read_index
from convert.plan.shard_specs import ShardSpec
from convert.verify.findings import Kind, Problem, RecordFindings
from convert.verify.shards.shard_bytes import open_reader
from convert.verify.shards.spans import Span, SpanReport, part_of
from convert.verify.sidecars import file_size

_HEADER = struct.Struct("<QI")  # length of a record's content, masked CRC of the length

Ints = np.ndarray[Any, np.dtype[Any]]


class ShardCase:
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
        number: Its index in the dataset.
        problems: What is wrong with its files as a whole.
        findings: What is wrong with its records.
        readable: Bytes of the shard that are there.
        capacity: Records that may be there at most, by these bytes.
        sha256: Digest of its bytes, where all are there and could be read.
    """

    def __init__(
        self, folder: Folder, info: DatasetInfo, split: str, index: int, number: int
    ) -> None:
        self.shard = shard = info.splits[split][index]
        self.split = split
        self.index = index
        self.number = number
        self.findings = RecordFindings()
        self.sha256: str | None = None
        self._info = info
        self._folder = folder
        self._whole = 0
        self._num_near = 0
        self._failure = ""
        found = file_size(folder, shard.file, f"shard of {shard.records:,} records")
        self.problems = [found] if isinstance(found, Problem) else []
        self._size = None if isinstance(found, Problem) else found
        self.readable = min(self._size or 0, shard.bytes)
        smallest = info.layout if info.is_raw else layout_of_image(len(info.outputs), 0)
        self.capacity = min(shard.records, self.readable // smallest.stride)

    def span(self, expected: ShardSpec | None) -> Span | None:
        """Returns all that can be checked of the shard as one span, or None.

        Args:
            expected: The rows that the manifest has for the shard. None: not known.
        """
        if self._size is None:
            return None
        ends = None if self._info.is_raw else self._ends()
        self._whole = self.capacity if ends is None else len(ends)
        end = self._whole * self._info.layout.stride if ends is None else int([0, *ends][-1])
        is_complete = (self._whole, end) == (self.shard.records, self.shard.bytes)
        if not self._whole and not is_complete:
            return None
        return Span(
            file=self.shard.file,
            shard=self.number,
            first=0,
            records=self._whole,
            offset=0,
            bytes=end,
            ends=ends,
            is_hashed=is_complete,
            expected=part_of(expected, 0, self._whole),
        )

    def take(self, report: SpanReport) -> None:
        """Adds what was found in a span."""
        self.findings.merge(report.findings)
        self._num_near += report.num_near
        self._failure = self._failure or report.failure
        self.sha256 = report.sha256 or self.sha256

    def say_not_compared(self) -> None:
        """Notes that it is not known which rows of the manifest are the shard's."""
        text = f"not compared with the manifest, which does not give it {self.shard.records:,} rows"
        self._add("not_compared", text)

    def is_own(self, shards: dict[str, Shard]) -> bool:
        """Returns whether the file holds this shard at all; if not, its records say nothing.

        Args:
            shards: The dataset's shards by their digests.
        """
        if (other := self._other(shards)) is not None:
            self._add("misplaced", f"holds the content of {other}: files were exchanged")
        elif self._whole and not self._num_near and not self._failure:
            zeros = self.findings.counts["zeros"] == self._whole
            found = "nothing but zeros" if zeros else "no record of this dataset"
            self._add("other_content", f"{found} in it, {self.shard.records:,} records expected")
        else:
            return True
        self.findings = RecordFindings()
        return False

    def _other(self, shards: dict[str, Shard]) -> str | None:
        """Returns the shard whose content is here in place of this one's, if there is one."""
        sha256 = self.sha256
        if self._size != self.shard.bytes and self._size in {s.bytes for s in shards.values()}:
            sha256 = self._folder.sha256(self.shard.file)
        other = shards.get(sha256 or "")
        return None if other is None or sha256 == self.shard.sha256 else other.file

    def judge(self) -> None:
        """Judges the file as a whole, once all findings in its own records are known."""
        shard, size = self.shard, self._size
        if self._failure:
            self._add("unreadable", f"cannot be read to its end: {self._failure}")
            return
        is_equal = self.sha256 == shard.sha256
        if size is None:
            return
        if size < shard.bytes:
            self._add("truncated", f"truncated: {size:,} of {shard.bytes:,} bytes; {self._rest()}")
        elif self.sha256 is not None and not is_equal and not self._num_damaged():
            sound = "every CRC is right" if self.findings.counts else "every record is sound"
            self._add("digest", f"its sha256 differs though {sound}")
        if size > shard.bytes:
            text = f"too long: {size - shard.bytes:,} bytes follow its {shard.bytes:,}"
            if is_equal:
                text += f", which are sound; `truncate -s {shard.bytes}` repairs it"
            self._add("too_long", text)

    def _rest(self) -> str:
        """Describes what is left of a truncated shard."""
        total = f"of {self.shard.records:,} records"
        if not self._whole:
            return f"none {total} is whole"
        damaged = self._num_damaged()
        state = f"{damaged:,} of these are damaged" if damaged else "these are sound"
        return f"{self._whole:,} {total} are whole, and {state}"

    def _num_damaged(self) -> int:
        return self.findings.counts["flipped_bytes"] + self.findings.counts["zeros"]

    def _add(self, kind: Kind, message: str, suffix: str = "") -> None:
        self.problems.append(Problem(kind=kind, file=self.shard.file + suffix, message=message))

    def _ends(self) -> Ints:
        """Returns where each record ends, as far as that can be found."""
        found = file_size(self._folder, self.shard.file + SUFFIX, "index")
        if isinstance(found, Problem):
            self.problems.append(found)
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
        start, size = 0, self._size or 0
        try:
            with open_reader(self._folder, self.shard.file, 0, size) as reader:
                while start < self.readable and len(ends) < self.shard.records:
                    header = reader.read(start, min(HEADER_BYTES, size - start))
                    length = _length(header)
                    if length is None:
                        self._lose(len(ends))
                        break
                    start += HEADER_BYTES + length + FOOTER_BYTES
                    if start > self.readable:
                        break
                    ends.append(start)
        except OSError as error:
            self._failure = error.strerror or str(error)
        return np.array(ends, np.int64)

    def _lose(self, record: int) -> None:
        """Notes that the records after one cannot be found."""
        after = self.shard.records - record - 1
        self.findings.add(
            record,
            "flipped_bytes",
            f"its length is damaged, and without an index the {after:,} records after it are lost",
        )


def open_cases(folder: Folder, info: DatasetInfo) -> list[ShardCase]:
    """Returns all shards of a dataset."""
    places = [
        (split, index) for split, shards in info.splits.items() for index in range(len(shards))
    ]
    return [ShardCase(folder, info, *place, number) for number, place in enumerate(places)]


def _length(header: bytes) -> int | None:
    """Returns the length in a frame's header, or None if the header is damaged."""
    if len(header) < HEADER_BYTES:
        return None
    length, crc = _HEADER.unpack(header)
    is_sound = masked_crc(google_crc32c.value(header[: HEADER_BYTES - 4])) == crc
    return length if is_sound else None
