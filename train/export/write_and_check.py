"""Exporting a run: write, check in the format's own runtime, and only then give it its name."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import keras

from convert.command.byte_sizes import show_bytes
from convert.dataset.info import DatasetInfo
from convert.storage.places import real_place
from train.errors import ShardfeedError, UsageError
from train.export.config import SUFFIXES, ExportConfig, FormatName
from train.export.description import describe
from train.export.destination import check_place, put, size_of, workplace
from train.export.formats import FORMATS
from train.export.parity import TOLERANCE, Expected, Parity, compare, expect, on_cpu
from train.model.probabilities import with_probabilities
from train.runs.folder import RunFolder
from train.runs.output_conflicts import require_no_input


@dataclass(frozen=True, kw_only=True, slots=True)
class Export:
    """An export that is there and was checked.

    Attributes:
        format: Its format.
        path: Its file or folder.
        size: Its size in bytes.
        was_there: Whether an earlier call made it.
        runtime: What it was checked with.
        split: Split of the images that it was checked with.
        parity: How it differs from the run's network.
    """

    format: FormatName
    path: str
    size: int
    was_there: bool
    runtime: str
    split: str
    parity: Parity

    def __str__(self) -> str:
        there = " (was there already)" if self.was_there else ""
        return (
            f"{self.path}: {show_bytes(self.size, 'MB', 1)}{there}; {self.runtime} on "
            f"{self.parity.images:,} {self.split} images: {self.parity}"
        )


def export_run(
    run: RunFolder, config: ExportConfig, tell: Callable[[Export], None] = lambda export: None
) -> list[Export]:
    """Exports a run's best weights. Outputs are probabilities, in every format.

    Each export appears under its name when it was found to read images as the run does; those
    that were finished before another failed stay.

    Args:
        run: The run.
        config: The formats, and where they go.
        tell: Called with each finished export.

    Raises:
        UsageError: Something else is in the way, the dataset does not fit, or Keras does not run
            on TensorFlow.
        ShardfeedError: The network cannot be written in a format, or gives other results there.
        TryAgainError: The disk is full or damaged.
    """
    _require_tensorflow(config)
    exporter = _Exporter(run, config)
    exports = []
    for name in config.formats:
        exports.append(exporter.export(name))
        tell(exports[-1])
    return exports


def _require_tensorflow(config: ExportConfig) -> None:
    backend = keras.backend.backend()
    for name in config.formats:
        if FORMATS[name].needs_tensorflow and backend != "tensorflow":
            raise UsageError(
                f"--to {name} needs Keras on TensorFlow, and this is Keras on {backend}: run it "
                "with KERAS_BACKEND=tensorflow; a run's files are the same for all."
            )


class _Exporter:
    """Exports one run, format by format."""

    def __init__(self, run: RunFolder, config: ExportConfig) -> None:
        self._config = config
        self._stem = config.stem(run.path)
        self._about = real_place(f"{self._stem}.json")
        paths = [self._about, *map(self._path, config.formats)]
        require_no_input(paths, run, config.dataset)
        model = run.load_model()  # before its digest is made: it may be a file without an end
        self._description = describe(run)
        self._was_there = {  # looked at before the first is written: it will be described
            name: check_place(
                self._path(name), self._about, self._description, overwrite=config.overwrite
            )
            for name in config.formats
        }
        self._info: DatasetInfo = run.dataset_info()
        self._model = with_probabilities(model)
        self._expected: Expected = expect(run, model, config.dataset)

    def _path(self, name: FormatName) -> str:
        return real_place(self._stem + SUFFIXES[name])

    def export(self, name: FormatName) -> Export:
        """Makes one export, or finds it there."""
        path = self._path(name)
        if self._was_there[name]:
            parity = self._check(name, path)
            if not parity.holds:
                raise UsageError(
                    f"{path}: exists and gives other results than the run: {parity}. "
                    "Name another --output, or replace it with --overwrite."
                )
        else:
            with workplace(path) as folder:
                part = os.path.join(folder, os.path.basename(path))
                self._write(name, part)
                parity = self._check(name, part)
                if not parity.holds:
                    raise ShardfeedError(
                        f"{path}: not written, since it gives other results than the run: "
                        f"{parity}, where {TOLERANCE:g} is allowed. Export to another format."
                    )
                put(part, path, self._about, self._description)
        return Export(
            format=name,
            path=path,
            size=size_of(path),
            was_there=self._was_there[name],
            runtime=FORMATS[name].runtime(),
            split=self._expected.split,
            parity=parity,
        )

    def _write(self, name: FormatName, path: str) -> None:
        try:
            with warnings.catch_warnings(action="ignore"):  # about the converters' own code
                FORMATS[name].write(self._model, path, self._description)
        except Exception as error:  # whatever a converter stumbles over
            raise ShardfeedError(
                f"the network cannot be written as {name}: {_first_line(error)}"
            ) from error

    def _check(self, name: FormatName, path: str) -> Parity:
        try:
            with warnings.catch_warnings(action="ignore"), on_cpu():
                runner = FORMATS[name].open(path, list(self._info.outputs))
                return compare(self._expected, runner)
        except Exception as error:  # a runtime's own way of saying that it cannot read the file
            raise ShardfeedError(
                f"{FORMATS[name].runtime()} cannot run {os.path.basename(path)}: "
                f"{_first_line(error)}"
            ) from error


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else 'no reason given'}"
