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

from train.records import RecordReader
from train.source import BatchSource, open_source

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
    groups = (
        tf.data.Dataset.range(1)
        .map(plain(lambda start: _call(lambda _: np.int64(next(first_epochs)), start)))
        .flat_map(plain(lambda first: tf.data.Dataset.range(first, first + epochs)))
        .flat_map(plain(lambda number: _epoch_groups(number, source.num_groups)))
    )
    # One group is made while the batches of the one before are used. Slices share its memory.
    batches = (
        groups.map(plain(functools.partial(_group, source)))
        .prefetch(1)
        .flat_map(plain(lambda *group: tf.data.Dataset.from_tensor_slices(group)))
        .prefetch(_PREFETCHED_BATCHES)
    )
    if clock is not None:
        batches = _clocked(batches, clock)
    batches = batches.apply(tf.data.experimental.assert_cardinality(source.num_steps * epochs))
    options = tf.data.Options()
    # Autotuning stalls single steps by about a second on few cores, and nothing here needs it.
    options.autotune.enabled = False
    options.deterministic = True
    return batches.with_options(options)


def _group(source: BatchSource, epoch: tf.Tensor, number: tf.Tensor) -> Any:
    """Returns a group of batches as tensors of known shape, the batches' axis first."""
    import tensorflow as tf

    def batches(epoch: np.int64, number: np.int64) -> list[np.ndarray[Any, Any]]:
        return source.batches(int(epoch), *source.group(int(number)))

    names = source.output_names
    images, *labels = tf.numpy_function(
        batches, [epoch, number], [tf.uint8] + [tf.int32] * len(names)
    )
    # The last batch may be short, unless it is dropped.
    batch_size = source.batch_size if source.drop_remainder else None
    images.set_shape((None, batch_size, *source.reader.image_shape))
    for label in labels:
        label.set_shape((None, batch_size))
    return images, dict(zip(names, labels, strict=True))


def _epoch_groups(epoch: tf.Tensor, num_groups: int) -> tf.data.Dataset:
    """Returns (epoch, number) for each group of an epoch."""
    import tensorflow as tf

    epochs = tf.data.Dataset.from_tensors(epoch).repeat(num_groups)
    return tf.data.Dataset.zip(epochs, tf.data.Dataset.range(num_groups))


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
