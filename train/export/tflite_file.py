"""A LiteRT (TFLite) file with one named signature.

The description is appended as a zip, as TFLite's metadata appends files of labels: `unzip` and
Python's zipfile find it, and the runtime, which reads from the front, does not see it.
"""

from __future__ import annotations

import os
import tempfile
import zipfile
from importlib import metadata
from typing import Any

import keras

from train.export import saved_model
from train.export.description import FILE, INPUT, SIGNATURE


def write(model: keras.Model, path: str, description: str) -> None:
    """Writes a model."""
    import tensorflow as tf

    with tempfile.TemporaryDirectory(dir=os.path.dirname(path)) as folder:
        saved_model.write(model, os.path.join(folder, "model"), description)
        converter = tf.lite.TFLiteConverter.from_saved_model(
            os.path.join(folder, "model"), signature_keys=[SIGNATURE]
        )
        content = converter.convert()
    with open(path, "wb") as file:
        file.write(content)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(FILE, description)


def open_runner(path: str, outputs: list[str]) -> Any:
    """Opens a file in LiteRT; its outputs have an order of their own, so they go by name."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=path)
    runner = interpreter.get_signature_runner(SIGNATURE)

    def run(images: Any, keep: Any = interpreter) -> Any:
        found = runner(**{INPUT: images})
        return {name: found[name] for name in outputs}

    return run


def runtime() -> str:
    """Returns the runtime's name and version."""
    return f"LiteRT {metadata.version('ai-edge-litert')}"
