"""Small inputs of HDFS, brought to this machine for libraries that read local files only."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from convert.command.signals import removed_by_signals
from convert.dataset.info import DATASET_JSON, DatasetInfo
from convert.errors import UsageError
from convert.plan.dialects import read_manifest
from convert.plan.dialects.roles import ManifestOptions, find_roles
from convert.plan.file_names import TEXT_COLUMN, manifest_from_names
from convert.plan.labels.vocabulary import read_vocabulary
from convert.plan.manifest import Manifest
from convert.storage.places import filesystem_of, is_remote, sha256_file


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
    with tempfile.TemporaryDirectory(prefix="shardfeed-") as folder, removed_by_signals(folder):
        copy = os.path.join(folder, os.path.basename(path))
        try:
            with open(copy, "wb") as file:
                for piece in filesystem_of(path).stream(path):
                    file.write(piece)
        except OSError as error:
            raise UsageError(f"{path}: cannot be read: {error.strerror or error}.") from error
        yield copy


def load_manifest(
    path: str, from_names: str | None = None, options: ManifestOptions | None = None
) -> Manifest:
    """Reads a manifest wherever it is kept, or makes it from file names.

    Args:
        path: The manifest, or with `from_names` a folder of images.
        from_names: Regular expression whose groups are the labels. None: read a manifest.
        options: How to read it. None: its name and content tell all.

    Raises:
        UsageError: It cannot be read as a manifest.
    """
    if from_names is not None:
        manifest = manifest_from_names(path, from_names, filesystem_of(path))
        options = options or ManifestOptions()
        roles = find_roles(path, list(manifest.columns), options)
        if roles.labels and not options.label_columns and TEXT_COLUMN in manifest.columns:
            raise UsageError(
                f"--from-names has groups for {', '.join(roles.labels)} and for a text: choose "
                "with --label-columns or --text-column."
            )
        return replace(manifest, text_column=roles.text, label_columns=roles.labels)
    with local_copy(path) as copy:
        return read_manifest(copy, path, options)


def recorded_manifest_options(options: Mapping[str, Any]) -> ManifestOptions:
    """Returns how a dataset's manifest was read.

    Args:
        options: What its `dataset.json` says under `options`; of others' files it may be anything.
    """
    return ManifestOptions(
        format=options.get("format"),
        encoding=options.get("manifest_encoding"),
        path_column=options.get("path_column"),
        text_column=options.get("text_column"),
        label_columns=tuple(options.get("label_columns") or ()),
    )


def dataset_manifest(dataset: str, info: DatasetInfo, manifest: str) -> Manifest:
    """Reads the manifest that a dataset was made from.

    Args:
        dataset: The dataset's folder, for messages.
        info: Its description.
        manifest: The label file, or the folder of images whose names were the labels.

    Raises:
        UsageError: It is another one, or cannot be read.
    """
    expression = info.options.get("from_names")
    if expression is None:
        with contextlib.suppress(OSError):  # reading it tells why
            _require_same(dataset, info, manifest, sha256_file(manifest))
    elif not filesystem_of(manifest).is_folder(manifest):
        raise UsageError(
            f"{manifest}: not the manifest of {dataset}, whose labels came from the names of "
            "images. Give their folder."
        )
    found = load_manifest(manifest, expression, recorded_manifest_options(info.options))
    _require_same(dataset, info, manifest, found.sha256)
    return found


def _require_same(dataset: str, info: DatasetInfo, manifest: str, digest: str) -> None:
    if digest != info.manifest_sha256:
        raise UsageError(
            f"{manifest}: not the manifest of {dataset}: its sha256 is {digest}, "
            f"{DATASET_JSON} has {info.manifest_sha256}. "
            "Give the manifest that the dataset was made from."
        )


def load_vocabulary(path: str, *, verbatim: bool) -> tuple[str, ...]:
    """Reads a vocabulary wherever it is kept; see `read_vocabulary`."""
    with local_copy(path) as copy:
        return read_vocabulary(copy, path, verbatim=verbatim)
