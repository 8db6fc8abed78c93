"""A SavedModel with one named signature, and the description among its extra assets."""

from __future__ import annotations

import os
from typing import Any

import keras

from train.export.description import FILE, INPUT, SIGNATURE

# TensorFlow keeps this folder's name for what others add: tensorflow/python/saved_model/README.md.
_EXTRA = "assets.extra"


def write(model: keras.Model, path: str, description: str) -> None:
    """Writes a model to a new folder."""
    archive = keras.export.ExportArchive()
    archive.track(model)
    # The first endpoint is the signature `serving_default` as well.
    archive.add_endpoint("serve", *endpoint(model))
    archive.write_out(path, verbose=False)
    os.mkdir(os.path.join(path, _EXTRA))
    with open(os.path.join(path, _EXTRA, FILE), "w", encoding="utf-8") as file:
        file.write(description)


def endpoint(model: keras.Model) -> tuple[Any, list[Any]]:
    """Returns a function of a batch of any size, and the specification of its argument."""
    import tensorflow as tf

    def serve(image: Any) -> Any:
        return model(image, training=False)

    return serve, [tf.TensorSpec((None, *model.input.shape[1:]), tf.uint8, name=INPUT)]


def open_runner(path: str, outputs: list[str]) -> Any:
    """Opens a folder without Keras."""
    import tensorflow as tf

    loaded = tf.saved_model.load(path)
    signature = loaded.signatures[SIGNATURE]

    def run(images: Any, keep: Any = loaded) -> Any:  # the signature alone would lose its weights
        found = signature(**{INPUT: tf.constant(images)})
        return {name: found[name].numpy() for name in outputs}

    return run


def runtime() -> str:
    """Returns the runtime's name and version."""
    import tensorflow as tf

    return f"TensorFlow {tf.__version__}"
