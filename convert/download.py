"""Small inputs of HDFS, brought to this machine for libraries that read local files only."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator

from convert.errors import UsageError
from convert.manifest import Manifest, read_manifest
from convert.names import manifest_from_names
from convert.storage import filesystem_of, is_remote
from convert.vocabulary import read_vocabulary


@contextlib.contextmanager
def local_copy(path: str) -> Iterator[str]:
    """Gives a file as a local one: itself, or a copy that is deleted afterwards.

    Args:
        path: A local path or an address of HDFS.

    Raises:
        UsageError: It is an address, and cannot be read.
    """
    if not is_remote(path):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="shardfeed-") as folder:
        copy = os.path.join(folder, os.path.basename(path))
        try:
            with open(copy, "wb") as file:
                for piece in filesystem_of(path).stream(path):
                    file.write(piece)
        except OSError as error:
            raise UsageError(f"{path}: cannot be read: {error.strerror or error}.") from error
        yield copy


def load_manifest(path: str, from_names: str | None = None) -> Manifest:
    """Reads a manifest wherever it is kept, or makes it from file names.

    Args:
        path: The manifest, or with `from_names` a folder of images.
        from_names: Regular expression whose groups are the labels. None: read a manifest.

    Raises:
        UsageError: It cannot be read as a manifest.
    """
    if from_names is not None:
        return manifest_from_names(path, from_names, filesystem_of(path))
    with local_copy(path) as copy:
        return read_manifest(copy, path)


def load_vocabulary(path: str) -> tuple[str, ...]:
    """Reads a vocabulary wherever it is kept; see `read_vocabulary`."""
    with local_copy(path) as copy:
        return read_vocabulary(copy, path)
