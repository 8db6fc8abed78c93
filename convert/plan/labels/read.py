"""Reads each row's labels and crop box from the manifest, checks them, makes them numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from convert.config import ConvertConfig
from convert.dataset.info import TEXT_VOCABULARY
from convert.errors import UsageError
from convert.plan.dialects.roles import no_labels
from convert.plan.labels.columns import LabelColumns, TextLabels, label_columns, split_texts
from convert.plan.labels.output_names import check_output_names
from convert.plan.labels.text import Changed, normal_text
from convert.plan.labels.vocabulary import (
    BLANK,
    Vocabularies,
    build_vocabularies,
    encode_labels,
    grown,
)
from convert.plan.manifest import BOX_COLUMNS, Manifest
from convert.plan.rejected_rows import Problems
from convert.plan.spooled import blocks, empty_array

if TYPE_CHECKING:
    import pyarrow as pa

Ints = np.ndarray[Any, np.dtype[Any]]


def read_boxes(manifest: Manifest, config: ConvertConfig, problems: Problems) -> Ints | None:
    """Returns the rows' own crop boxes, unless there are none or `--crop` stands for all."""
    if config.crop is not None or not set(BOX_COLUMNS) <= set(manifest.columns):
        return None
    texts = [manifest.columns[name] for name in BOX_COLUMNS]
    boxes = empty_array((manifest.num_rows, len(BOX_COLUMNS)), np.int64)
    valid = np.empty(manifest.num_rows, bool)
    for rows in blocks(manifest.num_rows):
        boxes[rows], valid[rows] = _boxes([text[rows] for text in texts])
    problems.add(
        ~valid,
        "box_invalid",
        lambda row: (
            "left, top, right, bottom must be whole numbers with left < right and top < bottom, "
            f"got {', '.join(text[row].as_py() or 'nothing' for text in texts)}"
        ),
    )
    return boxes


def _boxes(texts: list[pa.Array]) -> tuple[Ints, Ints]:
    """Returns some rows' boxes, and which of them are boxes."""
    from pyarrow import compute

    # Nine digits fit in int64 and are beyond any image.
    numbers = [compute.match_substring_regex(text, r"^\s*-?[0-9]{1,9}\s*$") for text in texts]
    valid = np.logical_and.reduce([n.to_numpy(zero_copy_only=False) for n in numbers])
    columns = [
        compute.utf8_trim_whitespace(compute.if_else(is_number, text, "0"))
        .cast("int64")
        .to_numpy(zero_copy_only=False)
        for is_number, text in zip(numbers, texts, strict=True)
    ]
    boxes = np.stack(columns, axis=1)
    return boxes, valid & (boxes[:, 0] < boxes[:, 2]) & (boxes[:, 1] < boxes[:, 3])


@dataclass(frozen=True, kw_only=True, slots=True)
class Labels:
    """The labels of all rows.

    Attributes:
        vocabularies: Outputs and their classes.
        indices: Class index of each row and output, int32, shape (rows, outputs); -1 unknown.
        changed: Labels that were made to look as others do; None: there are none.
    """

    vocabularies: Vocabularies
    indices: Ints
    changed: Changed | None


def read_labels(
    manifest: Manifest,
    config: ConvertConfig,
    given: Mapping[str, tuple[str, ...]],
    problems: Problems,
) -> Labels:
    """Reads every row's labels.

    Raises:
        UsageError: No column holds labels, an output cannot be named so, or an option does not
            fit the labels.
    """
    text_column = None if config.label_columns else manifest.text_column
    _check_options(config, text_column)
    columns, changed = _label_texts(manifest, config)
    if text_column is not None:
        texts: LabelColumns | TextLabels = split_texts(columns[text_column], config, problems)
    else:
        texts = label_columns(columns, problems)
    by_output = _given_by_output(config, given, texts.outputs, is_text=text_column is not None)
    blank = (BLANK,) if config.pad_label else ()
    found = _distinct(texts, problems.good)
    own = {name: classes for name, classes in by_output.items() if classes}
    own = grown(own, found) if config.add_classes else own
    vocabularies = build_vocabularies(
        found,
        {name: classes + blank for name, classes in own.items()},
        shared_name=None if text_column is None else TEXT_VOCABULARY,
    )
    indices = empty_array((manifest.num_rows, len(texts.outputs)), np.int32)
    unknown = np.empty(manifest.num_rows, bool)
    for rows in blocks(manifest.num_rows):
        indices[rows] = encode_labels(
            texts.of(rows), vocabularies, are_indices=config.labels_are_indices
        )
        unknown[rows] = (indices[rows] < 0).any(axis=1)
    problems.add(
        unknown,
        "label_unknown",
        lambda row: (
            "not in the vocabulary: "
            + ", ".join(
                f"{name}={column[0].as_py()!r}"
                for (name, column), index in zip(
                    texts.of(slice(row, row + 1)).items(), indices[row], strict=True
                )
                if index < 0
            )
        ),
    )
    return Labels(vocabularies=vocabularies, indices=indices, changed=changed)


def _distinct(texts: LabelColumns | TextLabels, good: Ints) -> dict[str, set[str]]:
    """Returns each output's distinct labels in the good rows."""
    found: dict[str, set[str]] = {name: set() for name in texts.outputs}
    for rows in blocks(len(good)):
        for name, column in texts.of(rows).items():
            found[name].update(column.filter(good[rows]).unique().to_pylist())
    return found


def _check_options(config: ConvertConfig, text_column: str | None) -> None:
    """Refuses options for texts if labels are columns, and the other way round."""
    for flag, given in (("--text-length", config.text_length), ("--pad-label", config.pad_label)):
        if given and text_column is None:
            raise UsageError(f"{flag} needs --text-column: label columns have no length.")
    if config.labels_are_indices and text_column is not None:
        raise UsageError("--labels-are-indices needs --label-columns: a text is made of classes.")


def label_column_names(manifest: Manifest, config: ConvertConfig) -> tuple[list[str], bool]:
    """Returns the columns of the labels, and whether they are one whose characters are the labels.

    Raises:
        UsageError: No column holds labels, or there is no such column.
    """
    text_column = None if config.label_columns else manifest.text_column
    if text_column is not None:
        manifest.column(text_column, "--text-column")
        return [text_column], True
    names = config.label_columns or manifest.label_columns
    if not names:
        raise no_labels(manifest.path, manifest.names or list(manifest.columns))
    check_output_names(manifest.path, names)
    for name in names:
        manifest.column(name, "--label-columns")
    return list(names), False


def _label_texts(
    manifest: Manifest, config: ConvertConfig
) -> tuple[dict[str, pa.Array], Changed | None]:
    """Returns the columns of labels as they are meant, and what that changed."""
    columns = {name: manifest.columns[name] for name in label_column_names(manifest, config)[0]}
    if config.verbatim_labels:
        return columns, None
    total: Changed | None = None
    for name, column in columns.items():
        columns[name], changed = normal_text(column)
        total = total if changed is None else changed.plus(total)
    return columns, total


def _given_by_output(
    config: ConvertConfig,
    given: Mapping[str, tuple[str, ...]],
    outputs: list[str],
    *,
    is_text: bool,
) -> dict[str, tuple[str, ...] | None]:
    """Returns the vocabulary that the user gave for each output, if any."""
    unknown = sorted(set(given) - {"*"} - set(() if is_text else outputs))
    if unknown and is_text:
        raise UsageError(
            f"--vocabulary {unknown[0]}=FILE: a text has one vocabulary; give --vocabulary FILE."
        )
    if unknown:
        raise UsageError(
            f"--vocabulary {unknown[0]}=FILE: no such output; they are {', '.join(outputs)}."
        )
    by_output = {name: given.get(name, given.get("*")) for name in outputs}
    without = [name for name, classes in by_output.items() if not classes]
    if config.labels_are_indices and without:
        raise UsageError(f"--labels-are-indices: {without[0]} has no vocabulary; give it one.")
    return by_output
