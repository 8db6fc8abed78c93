"""Any batch of a split, from (epoch, step) alone: order, records and augmentation together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

import numpy as np

from convert.config import usable_cores
from train.errors import UsageError
from train.records.augmentation_draws import Strength, draw_changes, num_changes
from train.records.draws import Draws
from train.records.reading.reader import Bytes, Ints, RecordReader

Augment = Callable[[Bytes, Draws], Bytes]
LabelForm = Literal["dict", "array"]
Arrays = list[np.ndarray[Any, Any]]

# A call of Python from tf.data costs as much as copying a batch of 128: several share one call.
_GROUP_STEPS = 8
_GROUP_BYTES = 16 << 20  # bounds the memory where batches or images are large

MAKERS = max(2, min(usable_cores(), 8))
"""Threads that make groups of batches side by side.

Gathering, decoding and augmenting let go of Python's lock while they work. Two threads take all
the memory bandwidth that gathering can use; more are for augmentation.
"""


class Order(Protocol):
    """Which records stand where in an epoch; see `train.records.order`."""

    num_records: int
    window: int

    def records(self, epoch: int, start: int, stop: int) -> Ints:
        """Returns which records stand at positions [start, stop) of an epoch."""


class Ahead(Protocol):
    """Reads from disk what will be asked for; see `train.records.read_ahead`."""

    def using(self, epoch: int, position: int) -> AbstractContextManager[None]:
        """Surrounds the making of a batch that starts at a position of an epoch."""


@dataclass(frozen=True, kw_only=True)
class BatchSource:
    """Computes any batch of a split from (epoch, step) alone; threads may share it.

    Attributes:
        reader: The records.
        order: Their order in each epoch.
        read_ahead: Told of each batch that is made.
        output_names: Names of the labels' columns.
        batch_size: Records of a batch, of all ranks together.
        seed: Of the augmentation.
        augment: Changes the images at random. None: they stay as they are.
        device_strength: How far the device changes the images instead: batches then have what to
            do, as `draw_changes` returns it, behind the images. None: they are changed here.
        drop_remainder: Whether the last batch is left out if it is short.
        rank: Which part of each batch is made here. In [0, num_ranks).
        num_ranks: Processes that share each batch. Divides `batch_size`.
        label_form: One array of labels for each output, or one for all.
    """

    reader: RecordReader
    order: Order
    read_ahead: Ahead
    output_names: tuple[str, ...]
    batch_size: int
    seed: int
    augment: Augment | None
    drop_remainder: bool
    rank: int = 0
    num_ranks: int = 1
    label_form: LabelForm = "dict"
    device_strength: Strength | None = None

    @property
    def whole(self) -> BatchSource:
        """Makes all of each batch, where this makes a rank's part."""
        return replace(self, rank=0, num_ranks=1)

    @property
    def num_steps(self) -> int:
        """Batches of an epoch."""
        whole, rest = divmod(self.order.num_records, self.batch_size)
        return whole + (rest > 0 and not self.drop_remainder)

    @property
    def local_batch_size(self) -> int:
        """Records that this rank has of a whole batch."""
        return self.batch_size // self.num_ranks

    @property
    def record_shapes(self) -> list[tuple[int, ...]]:
        """Shape of a record in each of a batch's arrays."""
        image_shape, count = self.reader.image_shape, len(self.output_names)
        changes = [] if self.device_strength is None else [(num_changes(*image_shape[:2]),)]
        labels = [(count,)] if self.label_form == "array" else [()] * count
        return [image_shape, *changes, *labels]

    def batch(self, epoch: int, step: int) -> Arrays:
        """Returns a batch: uint8 images, then what the device changes them by, then labels, int32.

        Args:
            epoch: In [0, 2**32).
            step: In [0, num_steps).
        """
        return [arrays[0] for arrays in self.batches(epoch, step, 1)]

    def batches(self, epoch: int, step: int, count: int) -> Arrays:
        """Returns some batches of one size that follow each other.

        Returns:
            uint8 images, shape (count, batch, height, width, channels); if the device changes
            them, int32, shape (count, batch, `num_changes`); then int32 labels: for each output an
            array of shape (count, batch), or all in one (count, batch, outputs).
        """
        start = step * self.batch_size
        stop = min(start + count * self.batch_size, self.order.num_records)
        records = self.order.records(epoch, start, stop).reshape(count, -1)
        first = records.shape[1] * self.rank // self.num_ranks
        end = records.shape[1] * (self.rank + 1) // self.num_ranks
        with self.read_ahead.using(epoch, start):
            images, labels = self.reader.gather(records[:, first:end].reshape(-1))
        places = [
            Draws(seed=self.seed, epoch=epoch, step=one, first=first, count=end - first)
            for one in range(step, step + count)
        ]
        images = images.reshape(count, end - first, *images.shape[1:])
        changed: Arrays = [images]
        if self.device_strength is not None:
            numbers = draw_changes(places, images.shape[2:], self.device_strength)
            changed.append(numbers.reshape(count, end - first, -1))
        elif self.augment is not None:
            for batch, draws in zip(images, places, strict=True):
                batch[:] = self._augmented(self.augment, batch, draws)
        if self.label_form == "array":
            return [*changed, labels.reshape(count, end - first, labels.shape[1])]
        columns = np.ascontiguousarray(labels.T)
        return [*changed, *columns.reshape(len(columns), count, end - first)]

    def _augmented(self, augment: Augment, images: Bytes, draws: Draws) -> Bytes:
        """Calls the augmentation, which may be the user's function.

        Raises:
            UsageError: It does not return uint8 of the shape of `images`.
        """
        try:
            return require_same_form(augment(images, draws), images.shape, "`augment`")
        except Exception as error:  # as the reader's own, it must come through TensorFlow
            self.reader.failure = error
            raise

    def element(self, arrays: Sequence[Any]) -> tuple[Any, Any]:
        """Returns a batch's arrays as (images, labels), the labels in their form.

        If the device changes the images, their place is taken by the pair (images, changes).
        """
        images, *labels = arrays
        if self.device_strength is not None:
            images, labels = (images, labels[0]), labels[1:]
        if self.label_form == "array":
            return images, labels[0]
        return images, dict(zip(self.output_names, labels, strict=True))

    def group(self, number: int, first_step: int = 0) -> tuple[int, int]:
        """Returns first step and number of batches of a group that is made in one go.

        Args:
            number: In [0, num_groups(first_step)).
            first_step: Where the first group begins.
        """
        whole = self.order.num_records // self.batch_size
        step = min(first_step + number * self._group_steps, max(whole, first_step))
        return step, min(self._group_steps, whole - step) if step < whole else 1

    def num_groups(self, first_step: int = 0) -> int:
        """Returns the groups from a step to the end; a short last batch is one of its own."""
        whole = self.order.num_records // self.batch_size
        groups = -(-max(0, whole - first_step) // self._group_steps)
        return groups + (self.num_steps > max(whole, first_step))

    @property
    def _group_steps(self) -> int:
        height, width, channels = self.reader.image_shape
        batch_bytes = self.local_batch_size * height * width * channels
        return max(1, min(_GROUP_STEPS, _GROUP_BYTES // batch_bytes))


def require_same_form(images: object, shape: tuple[int, ...], name: str) -> Bytes:
    """Returns the batch that the user's function made, if it has the right type and shape.

    Args:
        images: What it returned.
        shape: Of the batch that it was given.
        name: Of the function, for the error.

    Raises:
        UsageError: It is not uint8, or of another shape; NumPy would cast and repeat it silently.
    """
    if isinstance(images, np.ndarray) and images.dtype == np.uint8 and images.shape == shape:
        return images
    found = type(images).__name__
    if isinstance(images, np.ndarray):
        found = f"{images.dtype} of shape {images.shape}"
    raise UsageError(f"{name} must return uint8 of shape {shape}, got {found}.")
