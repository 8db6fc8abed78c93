"""Batches for a model: the records of a split as a `tf.data.Dataset`.

The only module of the trainer, with `export`, that loads TensorFlow; it does so when a function
is called, so that `import train` stays quick.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from train.errors import UsageError
from train.input.clock import InputClock
from train.input.numpy_dataset import check_start_step
from train.input.open_source import open_batches
from train.input.options import IterationArguments, takes
from train.records.batches import MAKERS, BatchSource
from train.records.reading.reader import RecordReader

if TYPE_CHECKING:
    import tensorflow as tf

_PREFETCHED_BATCHES = 2


@takes(IterationArguments)
def load_dataset(asked: IterationArguments) -> tf.data.Dataset:  # noqa: D417 (takes its fields)
    """Returns the batches of a split, shuffled globally, ready for `model.fit`.

    The order depends on (dataset, seed, epoch, batch size, window) alone. The k-th iteration over
    the returned object is epoch `epoch + k * epochs`, so `model.fit(dataset, epochs=n)` sees a
    new order in every epoch.

    A process that was forked from one that read may begin a new iteration. What was begun before
    hangs there: an iterator, and TensorFlow itself once it has computed, for example in
    `model.fit`. TensorFlow is not made for `fork`: start processes by `spawn`, or read with
    `load_numpy`.

    Args:
        path: A folder that `convert` made, also on HDFS, or several.
        split: `train`, `validation` or `test`.
        batch_size: Records of a batch, of all ranks together. At least 1.
        seed: Seed of order and augmentation, in [0, 2**63).
        epoch: The first iteration's epoch.
        epochs: Epochs that one iteration goes through.
        start_step: The first iteration leaves out so many batches. In [0, batches of an epoch].
        **options: `shuffle`, `drop_remainder`, `augment`, `window`, `weights`, `rank`,
            `num_ranks`, `labels`, `verify_records`, `on_bad_record`, `manifest`, `limit`,
            `cache`, `cache_bytes`; see `train.SourceOptions`.

    Returns:
        Elements `(images, labels)`: images uint8 in [0, 255], shape (batch, height, width,
        channels); labels {output name: int32 class indices, shape (batch,)}, or with
        `labels="array"` int32, shape (batch, outputs).

    Raises:
        FormatError: The folder is no finished dataset.
        UsageError: The options do not fit each other or the dataset.

    Example:
        >>> dataset = load_dataset("strips", "train", batch_size=64)
        >>> model.fit(dataset, epochs=10)
    """
    source, epochs = open_batches(asked), asked.epochs
    return as_tf_dataset(source, epoch=asked.epoch, epochs=epochs, start_step=asked.start_step)


def as_tf_dataset(
    source: BatchSource,
    *,
    epoch: int = 0,
    epochs: int = 1,
    start_step: int = 0,
    clock: InputClock | None = None,
) -> tf.data.Dataset:
    """Delivers a source's batches through tf.data.

    Args:
        source: The batches.
        epoch: The first iteration's epoch.
        epochs: Epochs that one iteration goes through.
        start_step: Batches that the first iteration leaves out. In [0, num_steps].
        clock: Measures the time that the consumer waits.

    Raises:
        UsageError: TensorFlow is not installed.
    """
    try:
        import tensorflow as tf
    except ModuleNotFoundError as error:
        raise UsageError(
            "TensorFlow is not installed. Install it with `pip install tensorflow`, or use "
            "load_numpy."
        ) from error

    check_start_step(source, start_step)
    # Each new iteration over the dataset asks once, and gets the next number.
    iterations = itertools.count()
    plain = tf.autograph.experimental.do_not_convert
    line = _Groups(source=source, epoch=epoch, epochs=epochs, start_step=start_step)
    groups = (
        tf.data.Dataset.range(1)
        .map(plain(lambda start: _call(lambda _: np.int64(next(iterations)), start)))
        .flat_map(plain(functools.partial(_numbers, line)))
    )
    # Some groups are made while the batches of the one before are used. Slices share its memory.
    batches = (
        groups.map(
            plain(functools.partial(_group, line)),
            num_parallel_calls=MAKERS,
            deterministic=True,
        )
        .prefetch(1)
        .flat_map(plain(lambda *group: tf.data.Dataset.from_tensor_slices(group)))
        .prefetch(_PREFETCHED_BATCHES)
    )
    if clock is not None:
        batches = _clocked(batches, clock)
    if not start_step:  # else the first iteration is shorter than the others
        cardinality = tf.data.experimental.assert_cardinality(source.num_steps * epochs)
        batches = batches.apply(cardinality)
    options = tf.data.Options()
    # Autotuning stalls single steps by about a second on few cores, and nothing here needs it.
    options.autotune.enabled = False
    options.deterministic = True
    dataset = batches.with_options(options)
    dataset.line = line  # TensorFlow itself holds it weakly; see `_made_by`
    return dataset


@dataclass(frozen=True, kw_only=True, slots=True, weakref_slot=True)
class _Groups:
    """The groups of batches of each iteration, numbered from 0.

    Attributes:
        source: Makes the batches.
        epoch: The first iteration's epoch.
        epochs: Epochs of an iteration.
        start_step: Batches that the first iteration leaves out.
    """

    source: BatchSource
    epoch: int
    epochs: int
    start_step: int

    @property
    def num_first(self) -> int:
        """Groups of the first iteration's first epoch."""
        return self.source.num_groups(self.start_step)

    def num_groups(self, later: bool) -> int:
        """Returns the groups of the first iteration, or of a later one."""
        whole = self.source.num_groups()
        return self.epochs * whole if later else self.num_first + (self.epochs - 1) * whole

    def batches(self, iteration: int, number: int) -> list[np.ndarray[Any, Any]]:
        """Returns a group of an iteration."""
        start_step, epoch = self.start_step, self.epoch + iteration * self.epochs
        if iteration or number >= self.num_first:
            number += 0 if iteration else self.source.num_groups() - self.num_first
            later, number = divmod(number, self.source.num_groups())
            start_step, epoch = 0, epoch + later
        return self.source.batches(epoch, *self.source.group(number, start_step))


def _numbers(line: _Groups, iteration: tf.Tensor) -> tf.data.Dataset:
    """Returns (iteration, number) for each group of an iteration."""
    import tensorflow as tf

    first, later = (np.int64(line.num_groups(later)) for later in (False, True))
    count = tf.where(iteration > 0, later, first)
    iterations = tf.data.Dataset.from_tensors(iteration).repeat(count)
    return tf.data.Dataset.zip(iterations, tf.data.Dataset.range(count))


def _group(line: _Groups, iteration: tf.Tensor, number: tf.Tensor) -> Any:
    """Returns a group of batches as tensors of known shape, the batches' axis first."""
    import tensorflow as tf

    source = line.source
    tails = source.record_shapes
    types = [tf.uint8] + [tf.int32] * (len(tails) - 1)
    arrays = tf.numpy_function(_made_by(line), [iteration, number], types)
    # The last batch may be short, unless it is dropped.
    batch_size = source.local_batch_size if source.drop_remainder else None
    for array, tail in zip(arrays, tails, strict=True):
        array.set_shape((None, batch_size, *tail))
    return source.element(arrays)


def _made_by(line: _Groups) -> Callable[[Any, Any], list[np.ndarray[Any, Any]]]:
    """Returns a function that makes groups as long as the dataset is there.

    TensorFlow never lets go of a Python function of a pipeline. If it held the source, each dataset
    that was ever opened would keep its threads and mappings.
    """
    held = weakref.ref(line)

    def make(iteration: Any, number: Any) -> list[np.ndarray[Any, Any]]:
        line = held()
        if line is None:
            raise UsageError("the dataset is gone; keep what load_dataset returned while you read.")
        return line.batches(int(iteration), int(number))

    return make


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
