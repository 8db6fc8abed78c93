"""Loads a saved network, which may come from a stranger."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convert.storage.regular_files import open_regular
from train.errors import FormatError
from train.runs.files.archives import require_real_model

if TYPE_CHECKING:
    import keras


def load_network(path: str, shown: str, remedy: str) -> keras.Model:
    """Loads a `.keras` file; runs no code that may be in it.

    Args:
        path: The file.
        shown: What the user calls it.
        remedy: What to do if it is none.

    Raises:
        FormatError: It is missing or damaged.
    """
    # The public function takes a path only, which may lead to another file by then.
    from keras.src.saving.saving_lib import load_model

    try:
        with open(path, "rb", opener=open_regular) as file:
            require_real_model(file)
            return load_model(file, compile=False, safe_mode=True)
    except FileNotFoundError as error:
        raise FormatError(f"{shown}: no such file. {remedy}") from error
    except Exception as error:
        raise FormatError(f"{shown}: cannot be loaded as a model. {remedy}") from error
