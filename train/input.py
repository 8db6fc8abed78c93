"""Batches for a model: the records of a split as a `tf.data.Dataset`.

The only module of the trainer, with `export`, that loads TensorFlow; it does so when a function
is called, so that `import train` stays quick.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from convert.storage import read_dataset
from train.augment import augment as augment_batch
from train.errors import UsageError
from train.order import RecordOrder, default_window
from train.records import RecordReader

if TYPE_CHECKING:
    import tensorflow as tf

_PREFETCHED_BATCHES = 2


@dataclass(slots=True)
class InputClock:
    """How long the consumer of a dataset has waited for its batches.

    Attributes:
        waited_seconds: Sum over all batches so far.
    """

    waited_seconds: float = 0.0
    _asked: float = field(default=0.0, repr=False)

    def ask(self, _: object) -> np.int64:
        """Called when the consumer asks for a batch."""
        self._asked = time.perf_counter()
        return np.int64(0)

    def got(self, _: object) -> np.int64:
        """Called when the batch is there."""
        self.waited_seconds += time.perf_counter() - self._asked
        return np.int64(0)


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
        start = int(step) * self.batch_size
        stop = min(start + self.batch_size, self.reader.num_records)
        images, labels = self.reader.gather(self.order.records(int(epoch), start, stop))
        if self.augment:
            images = augment_batch(images, seed=self.seed, epoch=int(epoch), step=int(step))
        return [images, *np.ascontiguousarray(labels.T)]


def load_dataset(
    path: str,
    split: str,
    batch_size: int,
    seed: int = 0,
    *,
    epoch: int = 0,
    epochs: int = 1,
    shuffle: bool | None = None,
    drop_remainder: bool | None = None,
    augment: bool = False,
    window: int | None = None,
) -> tf.data.Dataset:
    """Returns the batches of a split, shuffled globally, ready for `model.fit`.

    The order depends on (dataset, seed, epoch, batch size, window) alone. The k-th iteration over
    the returned object is epoch `epoch + k * epochs`, so `model.fit(dataset, epochs=n)` sees a
    new order in every epoch.

    Args:
        path: A folder that `convert` made.
        split: `train`, `validation` or `test`.
        batch_size: Records of a batch. At least 1.
        seed: Seed of the order, in [0, 2**63).
        epoch: The first iteration's epoch.
        epochs: Epochs that one iteration goes through.
        shuffle: Whether to shuffle. None: only the split `train`.
        drop_remainder: Whether to leave out a last batch that is short. None: if shuffled.
        augment: Whether to change the images at random, as a function of (seed, epoch, step).
        window: Records that are shuffled as one. None: all, if they take less than 4 GiB.

    Returns:
        Elements `(images, labels)`: images uint8 in [0, 255], shape (batch, height, width,
        channels); labels {output name: int32 class indices, shape (batch,)}.

    Raises:
        FormatError: The folder is no finished dataset.
        UsageError: There is no such split, or it has fewer records than one batch.

    Example:
        >>> dataset = load_dataset("strips", "train", batch_size=64)
        >>> model.fit(dataset, epochs=10)
    """
    source = open_source(
        path,
        split,
        batch_size,
        seed,
        shuffle=shuffle,
        drop_remainder=drop_remainder,
        augment=augment,
        window=window,
    )
    return as_tf_dataset(source, epoch=epoch, epochs=epochs)


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
    reader = RecordReader(path, info, split)
    shuffle = split == "train" if shuffle is None else shuffle
    order = RecordOrder(
        reader.shard_records,
        seed=seed,
        window=window or default_window(reader.num_records, info.layout.stride),
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


def as_tf_dataset(
    source: BatchSource, *, epoch: int = 0, epochs: int = 1, clock: InputClock | None = None
) -> tf.data.Dataset:
    """Delivers a source's batches through tf.data.

    Args:
        source: The batches.
        epoch: The first iteration's epoch.
        epochs: Epochs that one iteration goes through.
        clock: Measures the time that the consumer waits.
    """
    import tensorflow as tf

    # Each new iteration over the dataset asks once, and gets the next number.
    first_epochs = itertools.count(epoch, epochs)
    plain = tf.autograph.experimental.do_not_convert
    steps = (
        tf.data.Dataset.range(1)
        .map(plain(lambda start: _call(lambda _: np.int64(next(first_epochs)), start)))
        .flat_map(plain(lambda first: tf.data.Dataset.range(first, first + epochs)))
        .flat_map(plain(lambda number: _epoch_steps(number, source.num_steps)))
    )
    batches = steps.map(plain(functools.partial(_element, source))).prefetch(_PREFETCHED_BATCHES)
    if clock is not None:
        batches = _clocked(batches, clock)
    batches = batches.apply(tf.data.experimental.assert_cardinality(source.num_steps * epochs))
    options = tf.data.Options()
    # Autotuning stalls single steps by about a second on few cores, and nothing here needs it.
    options.autotune.enabled = False
    options.deterministic = True
    return batches.with_options(options)


def _element(source: BatchSource, epoch: tf.Tensor, step: tf.Tensor) -> Any:
    """Returns one batch as tensors of known shape."""
    import tensorflow as tf

    names = source.output_names
    images, *labels = tf.numpy_function(
        source.batch, [epoch, step], [tf.uint8] + [tf.int32] * len(names)
    )
    # The last batch may be short, unless it is dropped.
    batch_size = source.batch_size if source.drop_remainder else None
    images.set_shape((batch_size, *source.reader.image_shape))
    for label in labels:
        label.set_shape((batch_size,))
    return images, dict(zip(names, labels, strict=True))


def _epoch_steps(epoch: tf.Tensor, num_steps: int) -> tf.data.Dataset:
    """Returns (epoch, step) for each step of an epoch."""
    import tensorflow as tf

    epochs = tf.data.Dataset.from_tensors(epoch).repeat(num_steps)
    return tf.data.Dataset.zip(epochs, tf.data.Dataset.range(num_steps))


def _clocked(batches: tf.data.Dataset, clock: InputClock) -> tf.data.Dataset:
    """Measures the wait for each batch: `zip` asks its parts one after the other."""
    import tensorflow as tf

    plain = tf.autograph.experimental.do_not_convert
    ticks = tf.data.Dataset.range(np.iinfo(np.int64).max)
    asked = ticks.map(plain(lambda tick: _call(clock.ask, tick)))
    got = ticks.map(plain(lambda tick: _call(clock.got, tick)))
    return tf.data.Dataset.zip(asked, batches, got).map(plain(lambda _, element, __: element))


def _call(function: Callable[[Any], Any], argument: tf.Tensor) -> tf.Tensor:
    """Calls a Python function of one number inside a pipeline; it returns an int64."""
    import tensorflow as tf

    result = tf.numpy_function(function, [argument], tf.int64)
    result.set_shape(())
    return result


@contextlib.contextmanager
def reader_failure(reader: RecordReader) -> Iterator[None]:
    """Raises a reader's own error where TensorFlow reports one of its own instead."""
    try:
        yield
    except Exception as error:
        if reader.failure is None:
            raise
        raise reader.failure from error
