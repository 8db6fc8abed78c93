"""The run folder: what a run leaves behind, and how it is found again.

RUN/
  config.json        the options, the dataset's id and the window that was used
  dataset.json       a copy of the dataset's: vocabularies, crop and size for prediction
  environment.json   versions that the result may depend on; never the environment itself
  history.csv        one row an epoch
  events/            TensorBoard scalars
  best.keras         the weights of the best epoch on the validation split
  last.keras         the weights of the last epoch
  log.txt            every line that was said
"""

from __future__ import annotations

import csv
import json
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict
from importlib import metadata
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convert.metadata import DATASET_JSON, DatasetInfo
from convert.storage import read_dataset, write_file, write_json
from train.config import TrainConfig
from train.errors import FormatError, UsageError

if TYPE_CHECKING:
    import keras

CONFIG, ENVIRONMENT, HISTORY, LOG = "config.json", "environment.json", "history.csv", "log.txt"
BEST, LAST, EVENTS = "best.keras", "last.keras", "events"

_PACKAGES = (
    "shardfeed", "tensorflow", "keras", "numpy", "jax", "pillow-simd", "pillow", "google-crc32c",
)  # fmt: skip


class RunFolder:
    """A run's files.

    Args:
        path: The folder; it must exist.
    """

    def __init__(self, path: str) -> None:
        self.path = path

    @classmethod
    def create(cls, path: str | None) -> RunFolder:
        """Makes a new folder, numbered if the user named none.

        Raises:
            UsageError: The folder exists, or cannot be made.
        """
        try:
            if path is None:
                return cls(_next_number("runs"))
            os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
            if not (os.path.isdir(path) and not os.listdir(path)):
                os.mkdir(path)
            return cls(path)
        except FileExistsError as error:
            raise UsageError(
                f"{path}: exists already. Name a new folder with --run, or remove this one."
            ) from error
        except OSError as error:
            raise UsageError(f"{path or 'runs'}: cannot be made: {error.strerror}.") from error

    @classmethod
    def open(cls, path: str) -> RunFolder:
        """Opens a run that exists.

        Raises:
            FormatError: There is none.
        """
        if not os.path.isfile(os.path.join(path, CONFIG)):
            raise FormatError(f"{path}: no {CONFIG} in it, so it is no run. `train` makes runs.")
        return cls(path)

    def file(self, name: str) -> str:
        """Returns the path of one of the run's files."""
        return os.path.join(self.path, name)

    def write_start(self, config: TrainConfig, info: DatasetInfo, **resolved: Any) -> None:
        """Writes what is known before training."""
        options = {**asdict(config), "run": self.path, "dataset_id": info.dataset_id, **resolved}
        write_json(self.file(CONFIG), options)
        write_file(self.file(DATASET_JSON), info.to_json())
        write_json(self.file(ENVIRONMENT), _environment())

    def config(self) -> dict[str, Any]:
        """Returns the content of config.json.

        Raises:
            FormatError: It cannot be read.
        """
        try:
            content = json.loads(Path(self.file(CONFIG)).read_text(encoding="utf-8"))
            if isinstance(content["dataset"], str) and isinstance(content["dataset_id"], str):
                return dict(content)
        except (OSError, ValueError, KeyError, TypeError):
            pass
        raise FormatError(f"{self.file(CONFIG)}: damaged. Restore it, or train again.")

    def dataset_info(self) -> DatasetInfo:
        """Returns what the run remembers of its dataset."""
        return read_dataset(self.path)

    def save_model(self, model: keras.Model, name: str) -> None:
        """Saves a model so that its file is there whole or not at all."""
        part = self.file(f".part-{name}")
        model.save(part)
        os.replace(part, self.file(name))

    def load_model(self, name: str = BEST) -> keras.Model:
        """Loads a saved model.

        Raises:
            FormatError: It is missing or damaged.
        """
        import keras

        path = self.file(name)
        if not os.path.isfile(path):
            raise FormatError(f"{path}: no such file; the run ended before its first epoch did.")
        try:
            return keras.models.load_model(path, compile=False, safe_mode=True)
        except Exception as error:
            raise FormatError(f"{path}: cannot be loaded as a model. Train again.") from error

    def append_history(self, row: Mapping[str, Any]) -> None:
        """Adds one epoch to history.csv."""
        path = Path(self.file(HISTORY))
        is_new = not path.exists()
        with path.open("a", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(row), lineterminator="\n")
            if is_new:
                writer.writeheader()
            writer.writerow(row)

    def history(self) -> list[dict[str, str]]:
        """Returns the rows of history.csv; none before the first epoch's end."""
        path = Path(self.file(HISTORY))
        if not path.exists():
            return []
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def log(self, line: str) -> None:
        """Adds a line to log.txt."""
        with open(self.file(LOG), "a", encoding="utf-8") as file:
            file.write(line + "\n")


def _next_number(parent: str) -> str:
    """Makes the first numbered folder that is free; two runs never get the same."""
    os.makedirs(parent, exist_ok=True)
    taken = [int(name) for name in os.listdir(parent) if name.isdecimal()]
    for number in count(max(taken, default=0) + 1):
        path = os.path.join(parent, str(number))
        try:
            os.mkdir(path)
        except FileExistsError:
            continue
        return path
    raise AssertionError("count() never ends")


def _environment() -> dict[str, Any]:
    """Returns an allow-list of versions."""
    import keras

    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {
        "python": platform.python_version(),
        "backend": keras.backend.backend(),
        "machine": platform.machine(),
        "system": platform.system(),
        "cpus": os.cpu_count(),
        "packages": versions,
    }
