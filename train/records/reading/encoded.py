"""Records of PNG or JPEG images at random: found by the shards' indexes, decoded in parallel."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

from convert.config import usable_cores
from convert.dataset.info import DatasetInfo
from convert.dataset.record import VARINT_BYTES, RecordLayout, from_padded_varints
from convert.dataset.shard_records import ShardRecords
from convert.images.formats.jpeg.scans import check_header, check_scans
from convert.images.formats.jpeg.segments import JPEG_SIGNATURE
from convert.images.formats.png.fast_decoder import plain_pixels, plain_size
from train.records.reading.bad_record import WRONG_CRC, UnreadableError, label_problems
from train.records.reading.raw import RawReader
from train.records.reading.reader import UNKNOWN, Bytes, Ints, Labels, RecordReader
from train.records.reading.shards import ShardFile

NOT_DECODABLE = "has an image that cannot be decoded"

_FORMATS = ("PNG", "JPEG")
_RECORDS_PER_CALL = 16  # a decoder call takes about 50 us, handing it to a thread 30


def open_reader(files: Sequence[ShardFile], info: DatasetInfo, **options: Any) -> RecordReader:
    """Opens shards, whatever their encoding; the arguments are those of `RecordReader`."""
    return (RawReader if info.is_raw else EncodedReader)(files, info, **options)


def _decoders() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(usable_cores(), thread_name_prefix="decode")


class EncodedReader(RecordReader):
    """Reads records that hold PNG or JPEG files; otherwise as `RecordReader`.

    The decoders let go of Python's lock while they work, so threads decode side by side.

    Args:
        files: The shards.
        info: What they hold.
        starts: What `open_index` returns of each shard. None: it is read here.
        **options: Those of `RecordReader`.
    """

    def __init__(
        self,
        files: Sequence[ShardFile],
        info: DatasetInfo,
        *,
        starts: Sequence[Ints] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(files, info, **options)
        self._shards = [
            ShardRecords(
                file.folder,
                info,
                file.shard,
                memory=None if self.far is None else self.far.memory(number),
                starts=None if starts is None else starts[number],
            )
            for number, file in enumerate(self.files)
        ]
        self._pool = _decoders()

    def after_fork(self) -> None:
        """Replaces the lock and the threads in a forked process."""
        super().after_fork()
        self._pool = _decoders()

    def _labels_of(self, records: Ints) -> Ints:
        shards, places = self._find(records)
        labels = np.empty((len(records), len(self._info.outputs)), np.int64)
        for shard in np.unique(shards).tolist():
            here = shards == shard
            labels[here] = self._shards[shard].labels_of(places[here])
        return labels

    def _byte_range(self, shard: int, start: int, stop: int) -> tuple[int, int]:
        """Returns where in a shard's file the records at places [start, stop) begin and end."""
        return self._shards[shard].byte_range(start, stop)

    def memory(self, shard: int) -> Bytes:
        """Returns a shard's mapped file."""
        return self._shards[shard].memory

    def _read(self, records: Ints) -> tuple[Bytes, Labels]:
        images = np.empty((len(records), *self.image_shape), np.uint8)
        varints = np.empty((len(records), VARINT_BYTES * len(self._info.outputs)), np.uint8)
        columns = (records, *self._find(records), self._state[records] == UNKNOWN)
        found = list(zip(*(column.tolist() for column in columns), strict=True))
        problems: dict[int, str] = {}

        def fill(start: int) -> None:
            for index in range(start, min(start + _RECORDS_PER_CALL, len(found))):
                number, shard, place, is_unknown = found[index]
                try:
                    if is_unknown:
                        self._require_sound(number, shard, place)
                    self._decode_into(images[index], number, self._shards[shard].image(place))
                    varints[index] = self._shards[shard].label_bytes(place)
                except UnreadableError as error:
                    problems.update(error.problems)

        starts = range(0, len(found), _RECORDS_PER_CALL)
        calls = [self._pool.submit(fill, start) for start in starts]
        wait(calls)  # for all of them: the shards are held no longer than this takes
        for call in calls:
            call.result()  # raises what it raised
        if problems:
            raise UnreadableError(problems)
        labels = from_padded_varints(varints)
        if problems := label_problems(self._info, records, labels):
            raise UnreadableError(problems)
        return images, labels.astype(np.int32)

    def _decode_into(self, image: np.ndarray[Any, Any], number: int, content: bytes) -> None:
        """Decodes a file into an image's place in a batch; of another size, it is not decoded."""
        size = image.shape[1], image.shape[0]
        try:
            pixels = plain_pixels(content) if plain_size(content) == size else None
            if pixels is None:
                if content.startswith(JPEG_SIGNATURE):
                    check_header(content)
                    check_scans(content, size[0] * size[1], size[0] * size[1])
                with Image.open(BytesIO(content), formats=_FORMATS) as decoded:
                    if decoded.size != size:
                        raise ValueError(f"it is of {decoded.size}, expected {size}")
                    pixels = np.asarray(decoded)
            image[...] = pixels.reshape(image.shape)
        except Exception as error:  # whatever the decoder stumbles over
            raise UnreadableError({number: NOT_DECODABLE}) from error

    def _require_sound(self, number: int, shard: int, place: int) -> None:
        """Raises `UnreadableError` if a record's CRC is wrong, or no record has its length."""
        layout, record = self._layout(shard, place), self._shards[shard][place]
        compare = self._verify != "off"
        if layout is None or (compare and not (layout.matches(record) and layout.crc_ok(record))):
            raise UnreadableError({number: WRONG_CRC})

    def _layout(self, shard: int, place: int) -> RecordLayout | None:
        try:
            return self._shards[shard].layout(place)
        except ValueError:
            return None

    def _row(self, shard: int, place: int) -> int:
        return self._shards[shard].row(place) if self._layout(shard, place) else -1
