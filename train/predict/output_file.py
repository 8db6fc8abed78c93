"""Writes predictions to stdout line by line, or to a file that appears whole or not at all."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol, TextIO

from PIL import Image

from convert.command.signals import undone_by_signals
from convert.command.streams import Result
from convert.images import FORMATS
from convert.os_errors import failure
from convert.storage.local import PART, sync_folder
from convert.storage.places import is_remote, real_place
from convert.storage.regular_files import open_regular
from train.errors import UsageError
from train.predict.config import PredictConfig
from train.predict.sources.paths import STDIN
from train.runs.folder import RunFolder
from train.runs.output_conflicts import require_no_input

_TABLE_STARTS = (b"path,text,confidence,error,confidences", b'{"path": ')
"""How a result begins, by which one of an earlier call is known: as CSV, as JSON Lines."""


def check_output(config: PredictConfig, run: RunFolder) -> None:
    """Checks that a result replaces nothing but an older one.

    Args:
        config: What to read, and where the result goes.
        run: The run.

    Raises:
        UsageError: An input stands there, or a file that is no result and may not be replaced.
    """
    path = config.output
    if path is None:
        return
    require_no_input([path], run, config.dataset)
    if os.path.islink(path) and not os.path.exists(path):
        raise UsageError(f"{path}: a link that leads nowhere. Name another --output.")
    if not os.path.exists(path):
        return
    if (what := _input_at(path, config)) is not None:
        raise UsageError(
            f"{path}: is {what}, which a result never replaces. Name another --output."
        )
    if not config.overwrite and not _is_result(path):
        raise UsageError(
            f"{path}: exists and is no result of `train predict`, so it is left alone. "
            "Name another --output, or replace it with --overwrite."
        )


def _input_at(path: str, config: PredictConfig) -> str | None:
    """Names the input of the prediction that a path is; None if it is none."""
    found = os.stat(path)
    manifest = config.manifest
    is_here = manifest is not None and not is_remote(manifest) and os.path.exists(manifest)
    if is_here and os.path.samefile(path, str(manifest)):
        return "the --manifest"
    if STDIN in config.images and sys.stdin is not None:
        with contextlib.suppress(OSError, ValueError):
            if os.path.samestat(found, os.fstat(sys.stdin.fileno())):
                return "the list of images"
    try:  # paths of folders, globs and manifests are not known yet: an image may be one of them
        with Image.open(path, formats=FORMATS):
            return "an image"
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def _is_result(path: str) -> bool:
    """Returns whether a file is a result of an earlier call, or empty."""
    try:
        with open(path, "rb") as file:
            start = file.read(max(map(len, _TABLE_STARTS)))
    except OSError:
        return False
    return not start or start.startswith(_TABLE_STARTS)


class Output(Protocol):
    """Takes text."""

    def write(self, text: str, /) -> int: ...  # noqa: D102

    def flush(self) -> None: ...  # noqa: D102


def _open_part(part: str) -> TextIO:
    """Opens the file that a result is written to first; nobody else's is written through it."""
    # File names need not be text: what is no UTF-8 is written as \udcXX.
    return open(
        part, "w", encoding="utf-8", errors="backslashreplace", newline="", opener=open_regular
    )


@contextlib.contextmanager
def open_output(path: str | None) -> Iterator[Output]:
    """Opens a place for text; leaving by an exception leaves no file.

    Args:
        path: The file, which may exist; where it is a link, what it points at is replaced. None:
            stdout.

    Raises:
        TryAgainError: It cannot be written now.
        ShardfeedError: It cannot be written for a reason that stays.
    """
    if path is None:
        yield Result()
        return
    path = real_place(path)
    part = f"{path}{PART}{os.getpid()}"
    try:
        with (
            undone_by_signals(lambda: os.unlink(part)),
            _open_part(part) as file,
        ):
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
        sync_folder(os.path.dirname(path) or ".")
    except OSError as error:
        again = "run the same command again"
        raise failure(error, f"{path}: cannot be written", again) from error
    finally:
        with contextlib.suppress(OSError):
            Path(part).unlink(missing_ok=True)
