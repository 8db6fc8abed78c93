"""Records of PNG or JPEG images at random: found by the shards' indexes, decoded in parallel."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

from convert.format import RecordLayout
from convert.metadata import DatasetInfo
from convert.records import ShardRecords
from train.errors import RecordError
from train.records import REPAIR, Bytes, Ints, Labels, RecordReader

_FORMATS = ("PNG", "JPEG")
_RECORDS_PER_CALL = 16  # a decoder call takes about 50 us, handing it to a thread 30


def open_reader(path: str, info: DatasetInfo, split: str) -> RecordReader:
    """Opens a split's records, whatever their encoding; the arguments are the reader's."""
    return (RecordReader if info.is_raw else EncodedReader)(path, info, split)


class EncodedReader(RecordReader):
    """Reads records that hold PNG or JPEG files; otherwise as `RecordReader`.

    The decoders let go of Python's lock while they work, so threads decode side by side.
    """

    def _open_shards(self) -> None:
        self._files = [ShardRecords(self._path, self._info, shard) for shard in self._shards]
        self._pool = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="decode")

    def _gather(self, records: Ints) -> tuple[Bytes, Labels]:
        shape = (len(records), *self._info.image_shape)
        images = self._buffers.take(int(np.prod(shape))).reshape(shape)
        labels = np.empty((len(records), len(self._info.outputs)), np.int32)
        numbers = records.tolist()
        starts = range(0, len(numbers), _RECORDS_PER_CALL)

        def fill(start: int) -> None:
            for index in range(start, min(start + _RECORDS_PER_CALL, len(numbers))):
                self._read(numbers[index], images[index], labels[index])

        for done in self._pool.map(fill, starts):
            assert done is None  # taking the results raises what a call raised
        return images, labels

    def _read(self, number: int, image: np.ndarray[Any, Any], label: Labels) -> None:
        """Decodes a record into a batch's places for its image and labels."""
        ((shard, place),) = self._find(np.array([number]))
        records = self._files[shard]
        if self._unchecked[number]:
            self._check_record(number, shard, place)
        try:
            with Image.open(BytesIO(records.image(place)), formats=_FORMATS) as decoded:
                image[...] = np.asarray(decoded).reshape(image.shape)
        except Exception as error:  # whatever the decoder stumbles over
            raise RecordError(
                f"{self._where(number)}: its image cannot be decoded. {REPAIR}"
            ) from error
        label[...] = records.labels(place)

    def _check_record(self, number: int, shard: int, place: int) -> None:
        """Compares the CRC of a record that was not read before, and looks at its labels."""
        records = self._files[shard]
        layout = self._layout(shard, place)
        if layout is None or not (layout.matches(records[place]) and layout.crc_ok(records[place])):
            raise RecordError(f"{self._where(number)} is damaged: its CRC is wrong. {REPAIR}")
        num_classes = [len(classes) for classes in self._info.classes.values()]
        if (records.labels(place) >= num_classes).any():
            raise RecordError(f"{self._where(number)} has a label out of range. {REPAIR}")
        self._unchecked[number] = False

    def _layout(self, shard: int, place: int) -> RecordLayout | None:
        try:
            return self._files[shard].layout(place)
        except ValueError:
            return None

    def _row(self, shard: int, place: int) -> int:
        return self._files[shard].row(place) if self._layout(shard, place) else -1
