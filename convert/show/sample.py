"""Some records of a split, chosen at random, checked and decoded."""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby

import numpy as np
from PIL import Image

from convert.dataset.info import DatasetInfo, Shard
from convert.dataset.read import OpenDataset
from convert.dataset.shard_records import FewRecords, ShardRecords
from convert.errors import FormatError, ImageError
from convert.images import open_image

_READ_BYTES = 1 << 20  # of a shard on HDFS stream in the time that reading one record takes


@dataclass(frozen=True, kw_only=True, slots=True)
class SampledRecord:
    """One record.

    Attributes:
        row: The manifest's row that it comes from.
        labels: Class indices, one an output.
        image: Of mode RGB or L.
    """

    row: int
    labels: tuple[int, ...]
    image: Image.Image


def choose(num_records: int, count: int, seed: int, stream: int) -> list[int]:
    """Chooses records, each at most once, and all of them equally likely.

    Args:
        num_records: Records to choose from.
        count: How many are wanted; of fewer records all are chosen.
        seed: In [0, 2**64). Equal arguments give equal choices, whatever NumPy's version.
        stream: Tells the choices of one seed apart. In [0, 2**64).

    Returns:
        Numbers in [0, num_records), ascending.
    """
    bits = np.random.Philox(key=np.array([seed, stream], np.uint64))
    if num_records <= 2 * count:  # drawing one by one would often draw the same
        return sorted(np.argsort(bits.random_raw(num_records), kind="stable")[:count].tolist())
    chosen: set[int] = set()
    while len(chosen) < count:  # a number is taken already at most every second time
        chosen.add(int(bits.random_raw()) % num_records)
    return sorted(chosen)


def read_sample(
    dataset: OpenDataset, split: str, numbers: Sequence[int]
) -> Iterator[SampledRecord]:
    """Yields records of a split.

    Args:
        dataset: The dataset.
        split: One of its splits.
        numbers: Which of the split's records, ascending.

    Raises:
        FormatError: A shard is missing, or one of these records is damaged.
        TryAgainError: HDFS fails for a passing reason.
    """
    shards = dataset.info.splits[split]
    ends = list(accumulate(shard.records for shard in shards))
    for index, group in groupby(numbers, lambda number: bisect.bisect_right(ends, number)):
        first = ends[index] - shards[index].records
        yield from _read_shard(dataset, shards[index], [number - first for number in group])


def _read_shard(
    dataset: OpenDataset, shard: Shard, numbers: Sequence[int]
) -> Iterator[SampledRecord]:
    """Yields records of a shard, by their numbers in it; forgets the shard at the end."""
    folder, info = dataset.folder, dataset.info
    are_few = not folder.is_local and len(numbers) * _READ_BYTES < shard.bytes
    records = (FewRecords if are_few else ShardRecords)(folder, info, shard)
    for number in numbers:
        try:
            yield _read(info, records, number)
        except (ValueError, ImageError) as error:
            path = folder.file(shard.file)
            raise FormatError(f"{path}: record {number} is damaged: {error}.") from error


def _read(info: DatasetInfo, records: ShardRecords, number: int) -> SampledRecord:
    """Returns a record.

    Raises:
        ValueError, ImageError: It is damaged.
    """
    layout, record = records.layout(number), records[number]
    if not layout.matches(record) or not layout.crc_ok(record):
        raise ValueError("its CRC or its structure is wrong")
    labels = tuple(records.labels(number).tolist())
    sizes = [len(classes) for classes in info.classes.values()]
    if any(label >= size for label, size in zip(labels, sizes, strict=True)):
        raise ValueError("it has a label outside its vocabulary")
    return SampledRecord(
        row=records.row(number), labels=labels, image=_decode(info, records.image(number))
    )


def _decode(info: DatasetInfo, content: bytes) -> Image.Image:
    """Returns the image of a record."""
    height, width, channels = info.image_shape
    mode = "RGB" if channels == 3 else "L"
    if info.is_raw:
        return Image.frombytes(mode, (width, height), content)
    image = open_image(content, height * width)
    if (image.mode, image.size) != (mode, (width, height)):
        raise ValueError(f"its image is {image.mode} of {image.width}x{image.height}")
    try:
        image.load()
    except Exception as error:  # whatever the decoder stumbles over
        raise ValueError("its image cannot be decoded") from error
    return image
