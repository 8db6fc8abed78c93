"""The run folder: what a run leaves behind, and how it is found again.

RUN/
  config.json        the options, the dataset's id and the window that was used
  dataset.json       a copy of the dataset's: vocabularies, crop and size for prediction
  environment.json   versions that the result may depend on; never the environment itself
  history.csv        one row an epoch
  bad_records.jsonl  records that others replaced, with --on-bad-record skip
  checkpoints/       where a resume begins
  events/            for TensorBoard: curves, histograms, pictures
  best.keras         the weights of the best epoch on the validation split, and how sure they are
  last.keras         the weights of the last epoch
  last_raw.keras     the same before averaging; both above are averages, unless --ema is 0
  diverged.npz       the batch with which the loss became infinite or not a number
  class_counts.json  how often each class occurs in the training split
  training_images.npy  digests of the training split's pictures, to be known in other datasets
  report.html        what the run came to, as one page
  log.txt            every line that was said, with its time
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from convert.dataset.info import DATASET_JSON, DatasetInfo
from convert.dataset.read import read_dataset
from convert.os_errors import failure
from convert.storage.local import PART, locked, sync_folder, write_file
from convert.storage.places import write_json
from convert.storage.regular_files import open_regular
from train.config import is_custom
from train.errors import FormatError, TryAgainError
from train.runs.environment import environment
from train.runs.files.json_csv import read_environment, read_history, read_options
from train.runs.files.network import load_network
from train.runs.files.untrusted_folder import require_own, require_plain
from train.runs.new_folder import CONFIG, ENVIRONMENT, LOCK, make_folder, no_run

if TYPE_CHECKING:
    import keras

HISTORY, LOG = "history.csv", "log.txt"
BEST, LAST, LAST_RAW = "best.keras", "last.keras", "last_raw.keras"
EVENTS, CHECKPOINTS, DIVERGED, AUDIT = "events", "checkpoints", "diverged.npz", "audit"
BAD_RECORDS, CLASS_COUNTS = "bad_records.jsonl", "class_counts.json"
SEEN, REPORT = "training_images.npy", "report.html"

MODELS = (BEST, LAST, LAST_RAW)
FILES = (
    DATASET_JSON, ENVIRONMENT, CONFIG, LOG, HISTORY, BAD_RECORDS, DIVERGED, CLASS_COUNTS, SEEN,
    *MODELS, REPORT,
)  # fmt: skip
"""All of a run but its folders."""


class RunFolder:
    """A run's files.

    Args:
        path: The folder; it must exist.
        address: What the user calls it. None: the path.
        upload: Called where a resume may begin and at the end, to copy it to its address.
    """

    def __init__(
        self, path: str, address: str | None = None, upload: Callable[[], None] = lambda: None
    ) -> None:
        self.path = path
        self.address = address or path
        self.upload = upload

    @classmethod
    def create(cls, path: str | None) -> RunFolder:
        """Makes a new folder, numbered if the user named none.

        Raises:
            UsageError: The folder exists, or cannot be made.
        """
        return cls(make_folder(path))

    @classmethod
    def open(cls, path: str) -> RunFolder:
        """Opens a run that exists.

        Raises:
            FormatError: There is none, or a link stands in the place of one of its files.
        """
        if not os.path.lexists(os.path.join(path, CONFIG)):
            raise no_run(path)
        run = cls(path)
        require_plain(path, path, (*FILES, LOCK), (EVENTS, CHECKPOINTS))
        return run

    def require_own(self) -> None:
        """Raises `FormatError` if a file that a resume changes in place has another name too."""
        require_own(self.path, self.address, (LOG, EVENTS))

    def file(self, name: str) -> str:
        """Returns the path of one of the run's files."""
        return os.path.join(self.path, name)

    def shown(self, name: str) -> str:
        """Returns the path of one of the run's files as the user wrote it."""
        return os.path.join(self.address, name)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Lets no other process train this run.

        Raises:
            TryAgainError: One does.
        """

        def refuse() -> NoReturn:
            raise TryAgainError(
                f"{self.path}: another process is training this run. Wait for it, or stop it."
            )

        with locked(self.file(LOCK), refuse):
            yield

    @contextlib.contextmanager
    def writing(self, name: str) -> Iterator[None]:
        """Raises one line if one of the run's files cannot be written.

        Raises:
            TryAgainError: The disk is full or damaged.
            ShardfeedError: It cannot be written for a reason that stays.
        """
        try:
            yield
        except OSError as error:
            again = f"go on with `train resume {self.address}`"
            raise failure(error, f"{self.file(name)}: cannot be written", again) from error

    def write_start(self, options: Mapping[str, Any], info: DatasetInfo) -> None:
        """Writes what is known before training; config.json last, since it makes this a run."""
        with self.writing(CONFIG):
            write_file(self.file(DATASET_JSON), info.to_json())
            write_json(self.file(ENVIRONMENT), environment())
            write_json(self.file(CONFIG), {**options, "run": self.address})

    def write_config(self, options: Mapping[str, Any]) -> None:
        """Writes config.json again, where a resume changes what it may."""
        with self.writing(CONFIG):
            write_json(self.file(CONFIG), options)

    def config(self) -> dict[str, Any]:
        """Returns the content of config.json.

        Raises:
            FormatError: It cannot be read.
        """
        return read_options(self.file(CONFIG), self.shown(CONFIG))

    def dataset_info(self) -> DatasetInfo:
        """Reads the run's copy of its dataset's description."""
        return read_dataset(self.path)

    def environment(self) -> dict[str, Any]:
        """Returns the versions that the run was started with; none if there is no file of them.

        Raises:
            FormatError: It is damaged.
        """
        return read_environment(self.file(ENVIRONMENT), self.shown(ENVIRONMENT))

    def tidy(self) -> None:
        """Deletes the unfinished files of a process that was killed."""
        for name in os.listdir(self.path):
            if PART in name:
                os.unlink(self.file(name))

    @contextlib.contextmanager
    def _replacing(self, name: str) -> Iterator[str]:
        """Yields a path to write a file to; it is there under its name whole or not at all."""
        part = self.file(PART + name)
        with self.writing(name):
            try:
                yield part
                with open(part, "rb", opener=open_regular) as file:
                    os.fsync(file.fileno())
                os.replace(part, self.file(name))
                sync_folder(self.path)
            finally:
                with contextlib.suppress(OSError):
                    os.unlink(part)

    def save_model(self, model: keras.Model, name: str) -> None:
        """Saves a model so that its file is there whole or not at all."""
        with self._replacing(name) as part:
            model.save(part)

    def restore_model(self, path: str | None, name: str) -> None:
        """Puts a copy in a model's place, or removes the model if there is no copy."""
        if path is None:
            self.remove(name)
            return
        with self._replacing(name) as part:
            shutil.copyfile(path, part)

    def add_to_model(self, name: str, text: bytes) -> None:
        """Adds a text to a saved model's file, as the comment of the zip.

        No member: for the sake of one more Keras unpacks the file into a temporary folder.

        Args:
            name: The model's file.
            text: At most 65,535 bytes, as zip files have it.
        """
        with self._replacing(name) as part:
            shutil.copyfile(self.file(name), part)
            with zipfile.ZipFile(part, "a") as archive:
                archive.comment = text

    def remove(self, name: str) -> None:
        """Removes one of the run's files, if it is there."""
        with self.writing(name):
            Path(self.file(name)).unlink(missing_ok=True)

    def models(self) -> dict[str, str]:
        """Returns the paths of the saved models that are there, by name."""
        return {name: self.file(name) for name in MODELS if os.path.exists(self.file(name))}

    def load_model(self, name: str = BEST) -> keras.Model:
        """Loads a saved model.

        Raises:
            FormatError: It is missing or damaged.
        """
        path = self.file(name)
        if not os.path.isfile(path):
            raise FormatError(
                f"{self.shown(name)}: no such file; the run ended before its first epoch did."
            )
        own = str(self.config().get("model"))
        theirs = f"If its layers are those of {own}, register them and repeat --model {own}."
        return load_network(path, self.shown(name), theirs if is_custom(own) else "Train again.")

    def write_array(self, name: str, array: np.ndarray[Any, Any]) -> None:
        """Writes an array as a .npy file."""
        with self._replacing(name) as part:
            np.save(part, array, allow_pickle=False)

    def write_arrays(self, name: str, arrays: Mapping[str, Any]) -> str:
        """Writes arrays as a .npz file, and returns what the user calls it."""
        with self._replacing(name) as part:
            np.savez(part, allow_pickle=False, **dict(arrays))
        return self.shown(name)

    def write_history(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Writes history.csv; without rows there is none."""
        text = io.StringIO()
        if rows:
            writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        self._write_rows(HISTORY, text.getvalue())

    def write_bad_records(self, rows: Sequence[Mapping[str, Any]]) -> str:
        """Writes bad_records.jsonl, without rows none; returns what the user calls it."""
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
        self._write_rows(BAD_RECORDS, "".join(lines))
        return self.shown(BAD_RECORDS)

    def _write_rows(self, name: str, text: str) -> None:
        if not text:
            self.remove(name)
            return
        with self.writing(name):
            write_file(self.file(name), text)

    def history(self) -> list[dict[str, str]]:
        """Returns the rows of history.csv; none before the first epoch's end.

        Raises:
            FormatError: It is damaged.
        """
        return read_history(self.file(HISTORY), self.shown(HISTORY))
