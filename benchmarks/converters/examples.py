"""A loop of `tf.train.Example` and `TFRecordWriter`; with more than one worker, a pool of it."""

from __future__ import annotations

import multiprocessing
import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"  # before TensorFlow is loaded

import tensorflow as tf

from benchmarks.converters.clock import timed
from benchmarks.converters.strips import Row, pixels, task


def write(rows: list[Row], path: str) -> None:
    """Writes rows as one TFRecord file."""
    with tf.io.TFRecordWriter(path) as writer:
        for image, labels in rows:
            feature = {
                "image": tf.train.Feature(
                    bytes_list=tf.train.BytesList(value=[pixels(image).tobytes()])
                ),
                "label": tf.train.Feature(int64_list=tf.train.Int64List(value=labels)),
            }
            example = tf.train.Example(features=tf.train.Features(feature=feature))
            writer.write(example.SerializeToString())


def main() -> None:
    todo = task()
    todo.output.mkdir()
    if todo.workers == 1:
        write(todo.rows, str(todo.output / "images.tfrecord"))
        return
    # Forked, so that only the parent takes the seconds that loading TensorFlow takes.
    with multiprocessing.get_context("fork").Pool(todo.workers) as pool:
        pool.starmap(write, todo.pieces(), chunksize=1)


if __name__ == "__main__":
    with timed():
        main()
