"""Opens a trained network: a run's best weights, or a `.keras` file alone."""

from __future__ import annotations

import contextlib
import json
import os
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from convert.dataset.info import DATASET_JSON
from convert.dataset.read import read_dataset
from convert.storage.places import is_remote, sha256_file
from convert.storage.regular_files import open_regular
from train.errors import FormatError, UsageError
from train.runs.files.network import load_network
from train.runs.folder import BEST, MODELS
from train.runs.open import read_run

if TYPE_CHECKING:
    import keras

_SUFFIX = ".keras"
_DESCRIPTION = "shardfeed.json"  # in a file that `train export` wrote
_MOST_BYTES = 1 << 26  # of that: millions of classes

Classes = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, kw_only=True, slots=True)
class OldNetwork:
    """A network that was trained before.

    Attributes:
        network: A functional model to {output name: logits or probabilities}.
        digest: SHA-256 of its file.
        classes: {output name: classes in index order}. None: not known.
        options: Of its run. None: not known.
    """

    network: keras.Model
    digest: str
    classes: Classes | None
    options: Mapping[str, Any] | None


@contextlib.contextmanager
def open_trained(path: str) -> Iterator[OldNetwork]:
    """Opens a trained network; what is on HDFS is copied for so long.

    Args:
        path: A run's folder or its address on HDFS, whose best weights are meant; or a `.keras`
            file. Nothing that such a file may contain is run.

    Raises:
        FormatError: There is none, or it cannot be read.
        UsageError: It is a file on HDFS.
        TryAgainError: HDFS fails for a passing reason.
    """
    if path.endswith(_SUFFIX) and not os.path.isdir(path):
        yield _open_file(path)
        return
    with read_run(path) as run:
        yield OldNetwork(
            network=run.load_model(),
            digest=sha256_file(run.file(BEST)),
            classes=run.dataset_info().classes,
            options=run.config(),
        )


def _open_file(path: str) -> OldNetwork:
    if is_remote(path):
        raise UsageError(f"{path}: name its run, or copy the file to this machine.")
    shown, path = path, os.path.realpath(path)  # which a link may name
    network = load_network(path, shown, "Name a run, or a file that `train` made.")
    if not isinstance(getattr(network, "output", None), dict):
        raise FormatError(f"{shown}: its output is no dict by output name, so it is none of ours.")
    classes = _described(path)
    if classes is None and os.path.basename(path) in MODELS:
        folder = os.path.dirname(path) or "."
        if os.path.lexists(os.path.join(folder, DATASET_JSON)):
            classes = read_dataset(folder).classes
    return OldNetwork(network=network, digest=sha256_file(path), classes=classes, options=None)


def _described(path: str) -> Classes | None:
    """Returns the classes that an exported file names; None if it names none."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
        with open(path, "rb", opener=open_regular) as file, zipfile.ZipFile(file) as archive:
            if archive.getinfo(_DESCRIPTION).file_size > _MOST_BYTES:
                return None
            outputs = json.loads(archive.read(_DESCRIPTION))["outputs"]
        found = {str(one["name"]): tuple(map(str, one["classes"])) for one in outputs}
        return found or None
    return None
