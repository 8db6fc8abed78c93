"""What the options point to: the manifest, the root, the vocabularies."""

from __future__ import annotations

import os
from dataclasses import replace

from convert.config import ConvertConfig
from convert.dataset.read import read_dataset
from convert.errors import UsageError
from convert.plan.dialects.detect import SUFFIXES
from convert.plan.dialects.roles import ManifestOptions
from convert.plan.labels.vocabulary import BLANK
from convert.plan.load_inputs import load_manifest, load_vocabulary
from convert.plan.manifest import Manifest
from convert.storage.places import absolute, filesystem_of
from convert.write.source_note import whole_root

_SHOWN = 3  # label files that a message names


def open_manifest(config: ConvertConfig) -> Manifest:
    """Reads the manifest, or makes it from file names."""
    return load_manifest(config.manifest, config.from_names, manifest_options(config))


def manifest_options(config: ConvertConfig) -> ManifestOptions:
    """Returns the options that say how to read the manifest."""
    return ManifestOptions(
        format=config.format,
        encoding=config.manifest_encoding,
        path_column=config.path_column,
        text_column=config.text_column,
        label_columns=config.label_columns,
    )


def find_label_file(config: ConvertConfig) -> ConvertConfig:
    """Returns the options with the label file in place of a folder that holds just one.

    Raises:
        UsageError: The manifest is a folder with none, or with several.
    """
    folder = config.manifest
    files = filesystem_of(folder)
    if config.from_names is not None or not files.is_folder(folder):
        return config
    names = sorted(n for n in files.names(folder) if n.lower().endswith(SUFFIXES) and n[0] != ".")
    found = names if len(names) == 1 else [n for n in names if _has_labels(config, n)]
    if len(found) == 1:
        return replace(config, manifest=os.path.join(folder, found[0]))
    if found:
        raise UsageError(f"{folder}: has several label files, {', '.join(found)}. Name one.")
    below = [n for n in sorted(files.files_below(folder)) if n.lower().endswith(SUFFIXES)]
    hint = f", but {', '.join(below[:_SHOWN])} below it" if below else ""
    raise UsageError(
        f"{folder}: no label file at the top of this folder{hint}. Name the file (it ends in "
        f"{', '.join(SUFFIXES)}), or take labels from names with --from-names."
    )


def _has_labels(config: ConvertConfig, name: str) -> bool:
    """Returns whether a file can be read as a manifest with labels."""
    try:
        manifest = open_manifest(replace(config, manifest=os.path.join(config.manifest, name)))
    except UsageError:
        return False
    return bool(manifest.text_column or manifest.label_columns)


def source_root(config: ConvertConfig) -> str:
    """Returns the folder that the manifest's paths start from."""
    if config.root is not None:
        return config.root
    whole = absolute(config.manifest)
    return os.path.dirname(whole) if config.from_names is None else whole


def require_inputs_outside(config: ConvertConfig, root: str) -> None:
    """Checks that no input lies in a dataset that is about to be replaced as a whole.

    Args:
        config: The options.
        root: Folder of the sources.

    Raises:
        UsageError: One does, and would be carried off with the old dataset.
    """
    if not (config.overwrite or config.retry_quarantined):
        return
    if not filesystem_of(config.dataset).is_folder(config.dataset):
        return  # there is nothing to replace
    files = [flag.partition("=")[2] or flag for flag in config.vocabulary]
    folder = os.path.join(whole_root(config.dataset), "")
    for path in (config.manifest, root, *files, *config.corrections):
        if os.path.join(whole_root(path), "").startswith(folder):
            raise UsageError(
                f"{path}: lies in the dataset {config.dataset}, which would be replaced as a "
                "whole. Move it out, or choose another output."
            )


def given_vocabularies(flags: tuple[str, ...], *, verbatim: bool) -> dict[str, tuple[str, ...]]:
    """Reads what `--vocabulary` names; the key `*` stands for all outputs.

    Args:
        flags: `FILE`, `DATASET`, `OUTPUT=FILE` or `OUTPUT=DATASET`.
        verbatim: Take the classes of a file as they are, as `--verbatim-labels` takes labels.

    Raises:
        UsageError: One cannot be read, or two are given for an output.
    """
    given: dict[str, tuple[str, ...]] = {}
    for flag in flags:
        output, equals, path = flag.partition("=")
        output, path = (output, path) if equals else ("*", flag)
        if filesystem_of(path).is_folder(path):
            found = _dataset_vocabularies(path, output)
        else:
            found = {output: load_vocabulary(path, verbatim=verbatim)}
        for key, classes in found.items():
            if key in given:
                name = key.replace("*", "all outputs")
                raise UsageError(f"--vocabulary is given twice for {name}.")
            given[key] = classes
    return given


def _dataset_vocabularies(folder: str, output: str) -> dict[str, tuple[str, ...]]:
    """Returns the classes of a dataset's outputs, as those of files would be given.

    Args:
        folder: The dataset.
        output: The output to be; `*` for all.

    Raises:
        UsageError: It has no such output.
        FormatError: It is no dataset.
    """
    info = read_dataset(folder)
    # The blank that pads texts is no class of their own: `--pad-label` adds it.
    classes = {name: tuple(c for c in cs if c != BLANK) for name, cs in info.classes.items()}
    if info.reads_text:
        return {output: next(iter(classes.values()))}
    if output == "*":
        return classes
    if output not in classes:
        raise UsageError(f"{folder}: has no output {output!r}; they are {', '.join(classes)}.")
    return {output: classes[output]}
