"""tf.data at its best: parallel reads, a shuffle buffer, parsing after the batch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.readers.images import IMAGE_SHAPE, NUM_LABELS, Task
from benchmarks.readers.serve import Candidates, serve
from benchmarks.readers.shards import make

SHUFFLE_BUFFER = 8192  # records: 100 MB, as large as most pipelines afford


class Loader:
    """Goes through the data in a new order each time."""

    def __init__(self, task: Task, parallel: int) -> None:
        """Builds the pipeline; `parallel` is -1 for tf.data's own choice."""
        import tensorflow as tf

        files = sorted(str(file) for file in task.folder.glob("*.tfrecord-*"))
        options = tf.data.Options()
        options.deterministic = False
        self._dataset = (
            tf.data.TFRecordDataset(files, num_parallel_reads=parallel)
            .shuffle(SHUFFLE_BUFFER)
            .batch(task.batch_size, drop_remainder=True, num_parallel_calls=parallel)
            .map(_parser(task.batch_size), num_parallel_calls=parallel)
            .prefetch(tf.data.AUTOTUNE)
            .with_options(options)
        )

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        for images, labels in self._dataset:
            yield images, labels.numpy()[:, 0]


def _parser(batch_size: int) -> Any:
    """Returns the function that parses a batch of records."""
    import tensorflow as tf

    features = {
        "label": tf.io.FixedLenFeature([NUM_LABELS], tf.int64),
        "image": tf.io.FixedLenFeature([], tf.string),
    }

    def parse(records: Any) -> tuple[Any, Any]:
        parsed = tf.io.parse_example(records, features)
        pixels = tf.io.decode_raw(parsed["image"], tf.uint8)
        images = tf.reshape(pixels, (batch_size, *IMAGE_SHAPE))
        return images, tf.cast(parsed["label"], tf.int32)

    return parse


def candidates(task: Task) -> Candidates:
    return {
        "AUTOTUNE": lambda: Loader(task, -1),
        "2 in parallel": lambda: Loader(task, 2),
        "4 in parallel": lambda: Loader(task, 4),
    }


if __name__ == "__main__":
    serve(make, candidates)
