"""The formats: how each is written, and how it is read by its own runtime."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from train.export import keras_file, onnx_file, saved_model, tflite_file
from train.export.config import FormatName

Images = np.ndarray[Any, np.dtype[np.uint8]]
Probabilities = dict[str, np.ndarray[Any, np.dtype[np.float32]]]
Runner = Callable[[Images], Probabilities]
"""From uint8 (n, height, width, channels) to {output name: float32 (n, classes)}, any n."""


class ExportFormat(NamedTuple):
    """A format.

    Attributes:
        write: Writes a model, and its description into it, to a path.
        open: Opens what was written with the runtime that users of the format have; the second
            argument is the names of the outputs.
        runtime: Returns that runtime's name and version.
        needs_tensorflow: Whether only Keras on TensorFlow can write it.
    """

    write: Callable[[Any, str, str], None]
    open: Callable[[str, list[str]], Runner]
    runtime: Callable[[], str]
    needs_tensorflow: bool


FORMATS: dict[FormatName, ExportFormat] = {
    "keras": ExportFormat(keras_file.write, keras_file.open_runner, keras_file.runtime, False),
    "savedmodel": ExportFormat(
        saved_model.write, saved_model.open_runner, saved_model.runtime, True
    ),
    "onnx": ExportFormat(onnx_file.write, onnx_file.open_runner, onnx_file.runtime, True),
    "tflite": ExportFormat(tflite_file.write, tflite_file.open_runner, tflite_file.runtime, True),
}
