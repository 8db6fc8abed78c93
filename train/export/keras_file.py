"""A `.keras` file: layers of Keras alone, and the description as one more member of the zip."""

from __future__ import annotations

import zipfile
from typing import Any

import keras
import numpy as np

from train.export.description import FILE


def write(model: keras.Model, path: str, description: str) -> None:
    """Writes a model."""
    model.save(path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(FILE, description)


def open_runner(path: str, outputs: list[str]) -> Any:
    """Opens a file as `keras.models.load_model` does, allowing no code in it."""
    model = keras.models.load_model(path, compile=False, safe_mode=True)

    def run(images: Any) -> Any:
        found = model.predict_on_batch(images)
        return {name: np.asarray(found[name]) for name in outputs}

    return run


def runtime() -> str:
    """Returns the runtime's name and version."""
    return f"Keras {keras.__version__}"
