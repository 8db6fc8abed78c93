"""Any batch of a split, from (epoch, step) alone: order, records and augmentation together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from convert.storage import read_dataset
from train.augment import augment as augment_batch
from train.encoded import open_reader
from train.errors import UsageError
from train.order import RecordOrder, default_window
from train.records import RecordReader

# A call of Python from tf.data costs as much as copying a batch of 128: several share one call.
_GROUP_STEPS = 8
_GROUP_BYTES = 16 << 20  # bounds the memory where batches or images are large


@dataclass(frozen=True, kw_only=True)
class BatchSource:
    """Computes any batch of a split from (epoch, step) alone.

    Attributes:
        reader: The records.
        order: Their order in each epoch.
        output_names: Names of the labels' columns.
        batch_size: Records of a batch.
        seed: Of the augmentation.
        augment: Whether to change the images at random.
        drop_remainder: Whether the last batch is left out if it is short.
    """

    reader: RecordReader
    order: RecordOrder
    output_names: tuple[str, ...]
    batch_size: int
    seed: int
    augment: bool
    drop_remainder: bool

    @property
    def num_steps(self) -> int:
        """Batches of an epoch."""
        whole, rest = divmod(self.reader.num_records, self.batch_size)
        return whole + (rest > 0 and not self.drop_remainder)

    def batch(self, epoch: int, step: int) -> list[np.ndarray[Any, Any]]:
        """Returns a batch: uint8 images, then one int32 array of labels per output."""
        return [arrays[0] for arrays in self.batches(epoch, step, 1)]

    def batches(self, epoch: int, step: int, count: int) -> list[np.ndarray[Any, Any]]:
        """Returns some batches of one size that follow each other.

        Returns:
            uint8 images, shape (count, batch, height, width, channels), then for each output int32
            labels, shape (count, batch).
        """
        start = step * self.batch_size
        stop = min(start + count * self.batch_size, self.reader.num_records)
        images, labels = self.reader.gather(self.order.records(epoch, start, stop))
        images = images.reshape(count, -1, *images.shape[1:])
        if self.augment:
            for index, batch in enumerate(images):
                images[index] = augment_batch(batch, seed=self.seed, epoch=epoch, step=step + index)
        return [images, *np.ascontiguousarray(labels.T).reshape(labels.shape[1], count, -1)]

    def group(self, number: int) -> tuple[int, int]:
        """Returns first step and number of batches of a group that is made in one go.

        Args:
            number: In [0, num_groups).
        """
        whole = self.reader.num_records // self.batch_size
        step = min(number * self._group_steps, whole)
        return step, min(self._group_steps, whole - step) if step < whole else 1

    @property
    def num_groups(self) -> int:
        """Groups of an epoch; a short last batch is one of its own."""
        whole = self.reader.num_records // self.batch_size
        return -(-whole // self._group_steps) + (self.num_steps > whole)

    @property
    def _group_steps(self) -> int:
        height, width, channels = self.reader.image_shape
        batch_bytes = self.batch_size * height * width * channels
        return max(1, min(_GROUP_STEPS, _GROUP_BYTES // batch_bytes))


def open_source(
    path: str,
    split: str,
    batch_size: int,
    seed: int,
    *,
    shuffle: bool | None = None,
    drop_remainder: bool | None = None,
    augment: bool = False,
    window: int | None = None,
) -> BatchSource:
    """Opens a split; the arguments are those of `load_dataset`."""
    if batch_size < 1:
        raise UsageError(f"--batch-size must be at least 1, got {batch_size}.")
    info = read_dataset(path)
    reader = open_reader(path, info, split)
    shuffle = split == "train" if shuffle is None else shuffle
    order = RecordOrder(
        reader.shard_records,
        seed=seed,
        window=(
            default_window(reader.num_records, info.layout.stride) if window is None else window
        ),
        shuffle=shuffle,
    )
    source = BatchSource(
        reader=reader,
        order=order,
        output_names=tuple(info.outputs),
        batch_size=batch_size,
        seed=seed,
        augment=augment,
        drop_remainder=shuffle if drop_remainder is None else drop_remainder,
    )
    if not source.num_steps:
        raise UsageError(
            f"{path}: the split {split!r} has {reader.num_records} records, fewer than one batch; "
            f"--batch-size must be at most {reader.num_records}, got {batch_size}."
        )
    return source
