"""Records of raw images at random: shards mapped into memory as arrays.

A shard with raw images is an ordinary TFRecord file and, since all its records have one length,
also an array. Reading record k is arithmetic and one copy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from convert.dataset.info import DatasetInfo
from convert.dataset.mapping import REPAIR
from convert.dataset.record import (
    FOOTER_BYTES,
    VARINT_BYTES,
    RecordLayout,
    from_padded_varints,
)
from train.errors import RecordError
from train.records.reading.bad_record import WRONG_CRC, UnreadableError, label_problems
from train.records.reading.batch_crcs import BatchCrcs
from train.records.reading.gather import Memories
from train.records.reading.reader import UNKNOWN, Bytes, Ints, Labels, RecordReader
from train.records.reading.shards import ShardFile

_LABELS_KEPT = 16 << 20  # 64 MiB of int32: four outputs of four million records
_FAR_LABELS_KEPT = 256 << 20  # 1 GiB, of which only what was read is used


class RawReader(RecordReader):
    """Reads records whose images are pixels; otherwise as `RecordReader`."""

    def __init__(self, files: Sequence[ShardFile], info: DatasetInfo, **options: Any) -> None:
        super().__init__(files, info, **options)
        self._layout: RecordLayout = info.layout
        stop = self._layout.label_offset + VARINT_BYTES * self._layout.num_labels
        self._label_bytes = slice(self._layout.label_offset, stop)
        self._shards = [self._open(shard) for shard in range(len(self.files))]
        shape = (self.num_records, self._layout.num_labels)
        # Gathering them takes a tenth of a batch's time; to fetch shards for them takes far longer.
        kept = _LABELS_KEPT if self.far is None else _FAR_LABELS_KEPT
        self._labels = np.empty(shape, np.int32) if np.prod(shape) <= kept else None
        self._crcs = BatchCrcs(self._layout)
        self._memories = Memories(
            [shard.reshape(-1) for shard in self._shards], self._layout.stride
        )

    def _open(self, shard: int) -> Bytes:
        """Returns a shard's memory, uint8, shape (records, stride)."""
        if self.far is not None:  # whatever is brought there has the right digest
            return self.far.memory(shard).reshape(-1, self._layout.stride)
        return _map_shard(self.files[shard], self._layout)

    def labels(self, records: Ints) -> Ints:
        """Returns the labels of some records, unchecked: of those once read from memory."""
        if self._labels is None:
            return super().labels(records)
        labels = self._labels[records].astype(np.int64)
        unknown = self._state[records] == UNKNOWN
        if unknown.any():
            labels[unknown] = super().labels(records[unknown])
        return labels

    def _labels_of(self, records: Ints) -> Ints:
        shards, places = self._find(records)
        return self._read_labels(shards, places * self._layout.stride)

    def _byte_range(self, shard: int, start: int, stop: int) -> tuple[int, int]:
        """Returns where in a shard's file the records at places [start, stop) begin and end."""
        return start * self._layout.stride, stop * self._layout.stride

    def memory(self, shard: int) -> Bytes:
        """Returns a shard's mapped file."""
        return self._shards[shard].reshape(-1)

    def _read(self, records: Ints) -> tuple[Bytes, Labels]:
        layout = self._layout
        shards, places = self._find(records)
        offsets = places * layout.stride
        pixels = self._memories.copy(shards, offsets + layout.image_offset, layout.image_bytes)
        images = pixels.reshape(-1, *self.image_shape)
        if (self._state[records] == UNKNOWN).any():
            labels = self._checked_labels(records, shards, offsets, pixels)
        elif self._labels is None:
            labels = self._read_labels(shards, offsets)
        else:
            return images, self._labels[records]
        return images, labels.astype(np.int32)

    def _checked_labels(self, records: Ints, shards: Ints, offsets: Ints, pixels: Bytes) -> Ints:
        """Returns the labels of records whose pixels were read, int64.

        Args:
            records: Their numbers.
            shards: Where they lie.
            offsets: Where they start there.
            pixels: Theirs, as they were read, shape (batch, image_bytes).

        Raises:
            UnreadableError: A CRC is wrong, or a label is out of range.
        """
        layout = self._layout
        heads = self._memories.copy(shards, offsets, layout.image_offset)
        labels = from_padded_varints(heads[:, self._label_bytes])
        if self._labels is not None:
            self._labels[records] = labels
        problems = label_problems(self._info, records, labels)
        if self._verify != "off":
            ends = offsets + (layout.stride - FOOTER_BYTES)
            stored = self._memories.copy(shards, ends, FOOTER_BYTES).view("<u4")[:, 0]
            wrong = records[self._crcs.wrong(heads, pixels, stored)]
            problems |= dict.fromkeys(wrong.tolist(), WRONG_CRC)
        if problems:
            raise UnreadableError(problems)
        return labels

    def _read_labels(self, shards: Ints, offsets: Ints) -> Ints:
        """Returns the labels of the records that start at offsets in their shards, int64."""
        layout = self._layout
        length = VARINT_BYTES * layout.num_labels
        varints = self._memories.copy(shards, offsets + layout.label_offset, length)
        return from_padded_varints(varints)

    def _row(self, shard: int, place: int) -> int:
        start = self._layout.row_offset
        varint = self._shards[shard][place][start : start + VARINT_BYTES]
        return int(from_padded_varints(varint)[0])


def _map_shard(file: ShardFile, layout: RecordLayout) -> Bytes:
    """Returns a shard as uint8, shape (records, stride); nothing is read yet but two records."""
    records = file.folder.map(file.shard.file, file.shard.bytes).reshape(-1, layout.stride)
    for place in (0, len(records) - 1) if len(records) else ():
        if not layout.matches(records[place]):
            raise RecordError(f"{file.path}: record {place} is not one of this dataset. {REPAIR}")
    return records
