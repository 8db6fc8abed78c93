"""Counts the records of a split: classes, lengths of labels, bytes of images.

Only labels are read, and of encoded images the index: a million records take seconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from convert.dataset.folder import Folder
from convert.dataset.info import DatasetInfo, Shard
from convert.dataset.record import VARINT_BYTES, from_padded_varints, layout_of_record
from convert.dataset.shard_records import ShardRecords
from convert.errors import FormatError
from convert.plan.vocabulary import BLANK

Ints = np.ndarray[Any, np.dtype[Any]]

_CHUNK_LABELS = 1 << 18  # decoded at once: some 10 MB, and far more than a call of NumPy costs
# All but the last byte of a padded varint say that another follows.
_VARINT_MARKS = np.array([0x80] * (VARINT_BYTES - 1) + [0], np.uint8)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SplitCensus:
    """A split in numbers.

    Attributes:
        records: Records.
        shards: Files.
        bytes: Size of the files, with their indexes.
        counts: Vocabulary -> how often each class occurs in all of its outputs, int64, shape
            (classes,).
        lengths: Records that have 0, 1, ... labels which are not blank; int64, shape
            (outputs + 1,).
        image_bytes: Least, median and greatest size of an encoded image. None: the images are
            raw and of one size, or there are none.
        sought: Numbers of the records that have the class sought, int64, ascending.
        sought_by_output: Output -> records that have the class sought there.
    """

    records: int
    shards: int
    bytes: int
    counts: dict[str, Ints]
    lengths: Ints
    image_bytes: tuple[int, int, int] | None
    sought: Ints
    sought_by_output: dict[str, int]


def take_census(
    folder: Folder, info: DatasetInfo, split: str, sought: Mapping[str, int]
) -> SplitCensus:
    """Counts a split.

    Args:
        folder: The dataset's folder.
        info: Its description.
        split: One of its splits.
        sought: Output -> class to look for. Outputs that do not have the class are left out.

    Raises:
        FormatError: A shard is missing or damaged.
        TryAgainError: HDFS fails for a passing reason.
    """
    tally = _Tally(info, sought)
    lengths = [np.empty(0, np.int64)]
    for shard in info.splits[split]:
        counted = tally.add_shard(_ShardLabels(folder, info, shard))
        if not info.is_raw:
            lengths.append(counted)
    sizes = [size for shard in info.splits[split] for size, _ in shard.files.values()]
    return SplitCensus(
        records=info.num_records(split),
        shards=len(info.splits[split]),
        bytes=sum(sizes),
        counts=tally.by_vocabulary(),
        lengths=tally.lengths,
        image_bytes=_image_bytes(np.concatenate(lengths), len(info.outputs)),
        sought=np.concatenate([np.empty(0, np.int64), *tally.sought]),
        sought_by_output=tally.sought_by_output(),
    )


class _Tally:
    """Counts classes in one row of numbers, vocabulary after vocabulary."""

    def __init__(self, info: DatasetInfo, sought: Mapping[str, int]) -> None:
        self._info = info
        sizes = {name: len(classes) for name, classes in info.vocabularies.items()}
        starts = dict(zip(sizes, np.cumsum([0, *sizes.values()])[:-1].tolist(), strict=True))
        used = info.outputs.values()
        self._starts = np.array([starts[name] for name in used])
        self._sizes = np.array([sizes[name] for name in used])
        blanks = [info.vocabularies[name][-1] == BLANK for name in used]
        self._blanks = np.where(blanks, self._sizes - 1, -1)
        self._sought = np.array([sought.get(output, -1) for output in info.outputs])
        self._sought_by_output = np.zeros(len(info.outputs), np.int64)
        self._counts = np.zeros(sum(sizes.values()), np.int64)
        self._records = 0
        self.lengths = np.zeros(len(info.outputs) + 1, np.int64)
        self.sought: list[Ints] = []

    def add_shard(self, labels: _ShardLabels) -> Ints:
        """Counts a shard, which is forgotten then; returns its records' lengths in bytes."""
        for chunk in labels.chunks():
            self.add(chunk, labels.path)
        return labels.lengths()

    def add(self, labels: Ints, path: str) -> None:
        """Counts some records.

        Args:
            labels: Class indices, shape (records, outputs).
            path: Of the shard; an error names it.
        """
        wrong = labels >= self._sizes
        if wrong.any():
            _, output = np.argwhere(wrong)[0]
            raise FormatError(
                f"{path}: a record has class {labels[wrong][0]} of output "
                f"{list(self._info.outputs)[output]!r}, which has {self._sizes[output]}."
            )
        self._counts += np.bincount((labels + self._starts).ravel(), minlength=len(self._counts))
        given = (labels != self._blanks).sum(axis=1)
        self.lengths += np.bincount(given, minlength=len(self.lengths))
        hits = labels == self._sought
        self._sought_by_output += hits.sum(axis=0)
        self.sought.append(np.flatnonzero(hits.any(axis=1)) + self._records)
        self._records += len(labels)

    def by_vocabulary(self) -> dict[str, Ints]:
        """Returns each vocabulary's own counts."""
        ends = np.cumsum([len(classes) for classes in self._info.vocabularies.values()])
        return dict(zip(self._info.vocabularies, np.split(self._counts, ends[:-1]), strict=True))

    def sought_by_output(self) -> dict[str, int]:
        """Returns the records with the class sought, for the outputs that have it."""
        counts = zip(self._info.outputs, self._sought.tolist(), self._sought_by_output, strict=True)
        return {output: int(count) for output, index, count in counts if index >= 0}


class _ShardLabels(ShardRecords):
    """The labels of a shard, many records at a time."""

    def __init__(self, folder: Folder, info: DatasetInfo, shard: Shard) -> None:
        super().__init__(folder, info, shard)
        self.path = folder.file(shard.file)
        self._label_starts = self._find_labels()
        for number in {0, len(self) - 1} if len(self) else ():
            if not self.layout(number).matches(self[number]):
                raise FormatError(f"{self.path}: record {number} is not one of this dataset.")

    def lengths(self) -> Ints:
        """Returns each record's length in bytes, frame included."""
        return np.diff(self._starts)

    def chunks(self) -> Iterator[Ints]:
        """Yields class indices, int64, shape (some records, outputs)."""
        step = max(1, _CHUNK_LABELS // self._num_labels)
        size = VARINT_BYTES * self._num_labels
        for first in range(0, len(self), step):
            stop = min(first + step, len(self))
            if self._layout is not None:
                records = self.memory.reshape(-1, self._layout.stride)[first:stop]
                offset = self._layout.label_offset
                data = records[:, offset : offset + size]
            else:
                data = self.memory[self._label_starts[first:stop, None] + np.arange(size)]
            marks = data.reshape(len(data), -1, VARINT_BYTES) & 0x80
            bad = (marks != _VARINT_MARKS).any(axis=(1, 2))
            if bad.any():
                raise FormatError(f"{self.path}: record {first + bad.argmax()} has no labels.")
            yield from_padded_varints(data)

    def _find_labels(self) -> Ints:
        """Returns where the labels of each record start, in a shard of encoded images."""
        if self._layout is not None:
            return np.empty(0, np.int64)
        lengths, which = np.unique(self.lengths(), return_inverse=True)
        try:
            layouts = [layout_of_record(self._num_labels, length) for length in lengths.tolist()]
        except ValueError as error:
            raise FormatError(f"{self.path}: its index is wrong: {error}") from error
        offsets = np.array([layout.label_offset for layout in layouts], np.int64)
        return self._starts[:-1] + offsets[which]


def _image_bytes(lengths: Ints, num_labels: int) -> tuple[int, int, int] | None:
    """Returns the least, the median and the greatest size of an image, from records' lengths."""
    if not len(lengths):
        return None
    ordered = np.sort(lengths)
    least, median, greatest = (
        layout_of_record(num_labels, int(ordered[place])).image_bytes
        for place in (0, len(ordered) // 2, -1)
    )
    return least, median, greatest
