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
from convert.plan.label_text import Changed, normal_text
from convert.plan.manifest import BOX_COLUMNS, Manifest
from convert.plan.output_names import check_output_names
from convert.plan.rejected_rows import Problems
from convert.plan.vocabulary import BLANK, Vocabularies, build_vocabularies, encode_labels

if TYPE_CHECKING:
    import pyarrow as pa

Ints = np.ndarray[Any, np.dtype[Any]]


def read_boxes(manifest: Manifest, config: ConvertConfig, problems: Problems) -> Ints | None:
    """Returns the rows' own crop boxes, unless there are none or `--crop` stands for all."""
    from pyarrow import compute

    if config.crop is not None or not set(BOX_COLUMNS) <= set(manifest.columns):
        return None
    texts = [manifest.columns[name] for name in BOX_COLUMNS]
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
    valid &= (boxes[:, 0] < boxes[:, 2]) & (boxes[:, 1] < boxes[:, 3])
    problems.add(
        ~valid,
        "box_invalid",
        lambda row: (
            "left, top, right, bottom must be whole numbers with left < right and top < bottom, "
            f"got {', '.join(text[row].as_py() or 'nothing' for text in texts)}"
        ),
    )
    return boxes


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
    columns, changed = _label_texts(manifest, config, text_column)
    if text_column is not None:
        texts = _text_labels(columns[text_column], config, problems)
        shared_name: str | None = TEXT_VOCABULARY
    else:
        texts = columns
        shared_name = None
        missing = {name: is_empty(column) for name, column in texts.items()}
        problems.add(
            np.asarray(np.stack(list(missing.values())).any(axis=0)),
            "label_missing",
            lambda row: "no label for " + ", ".join(n for n, bad in missing.items() if bad[row]),
        )
    by_output = _given_by_output(config, given, list(texts), is_text=text_column is not None)
    blank = (BLANK,) if config.pad_label else ()
    good = {name: column.filter(problems.good) for name, column in texts.items()}
    vocabularies = build_vocabularies(
        good,
        {name: classes + blank for name, classes in by_output.items() if classes},
        shared_name=shared_name,
    )
    indices = encode_labels(texts, vocabularies, are_indices=config.labels_are_indices)
    problems.add(
        np.asarray((indices < 0).any(axis=1)),
        "label_unknown",
        lambda row: (
            "not in the vocabulary: "
            + ", ".join(
                f"{name}={column[row].as_py()!r}"
                for (name, column), index in zip(texts.items(), indices[row], strict=True)
                if index < 0
            )
        ),
    )
    return Labels(vocabularies=vocabularies, indices=indices, changed=changed)


def _check_options(config: ConvertConfig, text_column: str | None) -> None:
    """Refuses options for texts if labels are columns, and the other way round."""
    for flag, given in (("--text-length", config.text_length), ("--pad-label", config.pad_label)):
        if given and text_column is None:
            raise UsageError(f"{flag} needs --text-column: label columns have no length.")
    if config.labels_are_indices and text_column is not None:
        raise UsageError("--labels-are-indices needs --label-columns: a text is made of classes.")


def _label_texts(
    manifest: Manifest, config: ConvertConfig, text_column: str | None
) -> tuple[dict[str, pa.Array], Changed | None]:
    """Returns the columns of labels as they are meant, and what that changed."""
    if text_column is not None:
        columns = {text_column: manifest.column(text_column, "--text-column")}
    else:
        names = config.label_columns or manifest.label_columns
        if not names:
            raise no_labels(manifest.path, manifest.names or list(manifest.columns))
        check_output_names(manifest.path, names)
        columns = {name: manifest.column(name, "--label-columns") for name in names}
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


def _text_labels(texts: pa.Array, config: ConvertConfig, problems: Problems) -> dict[str, pa.Array]:
    """Returns one column of labels for each position of the texts.

    Args:
        texts: Texts, whose characters are the labels, or lists of labels.
        config: The options.
        problems: Gets the rows that have no label, or too many or few.
    """
    import pyarrow as pa
    from pyarrow import compute

    is_list = pa.types.is_large_list(texts.type)
    count = compute.list_value_length if is_list else compute.utf8_length
    lengths = count(texts).to_numpy(zero_copy_only=False)
    empty = "the text is empty" if config.from_names is None else "its name has no label"
    problems.add(lengths == 0, "label_missing", lambda row: empty)
    num_outputs = config.text_length or _text_length(lengths, longest=config.pad_label)
    fits = lengths <= num_outputs if config.pad_label else lengths == num_outputs
    at_most = "at most " if config.pad_label else ""
    unit = "labels" if is_list else "characters"
    problems.add(
        ~fits,
        "label_length",
        lambda row: f"{lengths[row]} {unit}, expected {at_most}{num_outputs}",
    )
    if is_list:
        _leave_out_gaps(texts, problems)
        return {f"y{place}": _elements(texts, place) for place in range(num_outputs)}
    return {
        f"y{place}": compute.utf8_slice_codeunits(texts, place, place + 1)
        for place in range(num_outputs)
    }


def _elements(lists: pa.Array, place: int) -> pa.Array:
    """Returns the label at one place of each list; a blank where a list is shorter."""
    import pyarrow as pa
    from pyarrow import compute

    lengths = compute.list_value_length(lists).to_numpy(zero_copy_only=False)
    places = np.cumsum(lengths) - lengths + place
    return compute.fill_null(
        lists.flatten().take(pa.array(places, pa.int64(), mask=lengths <= place)), BLANK
    )


def _leave_out_gaps(lists: pa.Array, problems: Problems) -> None:
    """Leaves out the rows of lists in which a label is empty."""
    from pyarrow import compute

    rows = compute.list_parent_indices(lists).to_numpy()
    bad = np.zeros(len(lists), bool)
    bad[rows[is_empty(lists.flatten())]] = True
    problems.add(bad, "label_missing", lambda row: "a label of its list is empty")


def _text_length(lengths: Ints, *, longest: bool) -> int:
    """Returns the longest or the commonest length of texts; of equals the longer."""
    counts = np.bincount(lengths)
    counts[0] = 0  # empty texts have no say
    if not counts.any():
        raise UsageError("every text is empty. Check --text-column, or --from-names.")
    used: int = np.flatnonzero(counts if longest else counts == counts.max())[-1].item()
    return used


def is_empty(texts: pa.Array) -> Ints:
    """Returns for each text whether it has no characters."""
    from pyarrow import compute

    empty: Ints = compute.equal(texts, "").to_numpy(zero_copy_only=False)
    return empty
