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
from convert.plan.labels.vocabulary import BLANK

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
    used = list(info.classes.values())
    ends = np.cumsum([len(classes) for classes in info.vocabularies.values()])
    starts = dict(zip(info.vocabularies, [0, *ends.tolist()], strict=False))
    offsets = np.array([starts[name] for name in info.outputs.values()])
    blanks = np.array([len(names) - 1 if names[-1] == BLANK else -1 for names in used])
    wanted = np.array([sought.get(output, -1) for output in info.outputs])
    counts = np.zeros(ends[-1], np.int64)  # vocabulary after vocabulary
    lengths = np.zeros(len(used) + 1, np.int64)
    by_output = np.zeros(len(used), np.int64)
    number, hits, sizes = 0, [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for shard in info.splits[split]:
        records = _ShardLabels(folder, info, shard)
        sizes.append(records.lengths())
        for labels in records.chunks():
            _require_classes(labels, info, records.path)
            counts += np.bincount((labels + offsets).ravel(), minlength=len(counts))
            lengths += np.bincount((labels != blanks).sum(axis=1), minlength=len(lengths))
            found = labels == wanted
            by_output += found.sum(axis=0)
            hits.append(np.flatnonzero(found.any(axis=1)) + number)
            number += len(labels)
        del records  # of HDFS the whole shard is in memory
    return SplitCensus(
        records=info.num_records(split),
        shards=len(info.splits[split]),
        bytes=sum(size for shard in info.splits[split] for size, _ in shard.files.values()),
        counts=dict(zip(info.vocabularies, np.split(counts, ends[:-1]), strict=True)),
        lengths=lengths,
        image_bytes=None if info.is_raw else _image_bytes(np.concatenate(sizes), len(used)),
        sought=np.concatenate(hits),
        sought_by_output={
            output: int(count)
            for output, count in zip(info.outputs, by_output, strict=True)
            if output in sought
        },
    )


def _require_classes(labels: Ints, info: DatasetInfo, path: str) -> None:
    """Raises a FormatError if a label is beyond its vocabulary."""
    sizes = np.array([len(classes) for classes in info.classes.values()])
    wrong = labels >= sizes
    if wrong.any():
        _, output = np.argwhere(wrong)[0]
        raise FormatError(
            f"{path}: a record has class {labels[wrong][0]} of output "
            f"{list(info.outputs)[output]!r}, which has {sizes[output]}."
        )


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
