"""Labels and crop boxes: what the manifest says of each row, judged and turned into numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from convert.config import ConvertConfig
from convert.errors import UsageError
from convert.manifest import BOX_COLUMNS, Manifest
from convert.names import TEXT_COLUMN
from convert.quarantine import Problems
from convert.vocabulary import BLANK, Vocabularies, build_vocabularies, encode_labels

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
    numbers = [compute.match_substring_regex(text, r"^-?[0-9]{1,9}$") for text in texts]
    valid = np.logical_and.reduce([n.to_numpy(zero_copy_only=False) for n in numbers])
    columns = [
        compute.if_else(is_number, text, "0").cast("int64").to_numpy(zero_copy_only=False)
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


def read_labels(
    manifest: Manifest,
    config: ConvertConfig,
    given: Mapping[str, tuple[str, ...]],
    problems: Problems,
) -> tuple[Vocabularies, Ints]:
    """Returns the vocabularies and every row's class indices."""
    text_column = _text_column(manifest, config)
    if text_column is not None:
        texts = _text_labels(manifest, text_column, config, problems)
        shared_name: str | None = "text"
    else:
        names = config.label_columns or _default_label_columns(manifest)
        texts = {name: manifest.column(name, "--label-columns") for name in names}
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
    labels = encode_labels(texts, vocabularies, are_indices=config.labels_are_indices)
    problems.add(
        np.asarray((labels < 0).any(axis=1)),
        "label_unknown",
        lambda row: (
            "not in the vocabulary: "
            + ", ".join(
                f"{name}={column[row].as_py()!r}"
                for (name, column), index in zip(texts.items(), labels[row], strict=True)
                if index < 0
            )
        ),
    )
    return vocabularies, labels


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


def _default_label_columns(manifest: Manifest) -> list[str]:
    """Returns the columns named `y` and digits, in numerical order."""
    names = [name for name in manifest.columns if re.fullmatch(r"y[0-9]+", name)]
    if not names:
        raise UsageError(
            f"{manifest.path}: no label columns y0, y1, ...; name them with --label-columns or "
            f"--text-column; the columns are {', '.join(manifest.columns)}."
        )
    return sorted(names, key=lambda name: int(name[1:]))


def _text_column(manifest: Manifest, config: ConvertConfig) -> str | None:
    """Returns the column of texts, unless labels are columns."""
    from_names = config.from_names is not None and not config.label_columns
    if config.text_column is None and from_names and TEXT_COLUMN in manifest.columns:
        return TEXT_COLUMN
    return config.text_column


def _text_labels(
    manifest: Manifest, text_column: str, config: ConvertConfig, problems: Problems
) -> dict[str, pa.Array]:
    """Returns one column of single characters for each position of the text."""
    from pyarrow import compute

    texts = manifest.column(text_column, "--text-column")
    empty = "the text is empty" if config.from_names is None else "its name has no label"
    lengths = compute.utf8_length(texts).to_numpy(zero_copy_only=False)
    problems.add(lengths == 0, "label_missing", lambda row: empty)
    num_outputs = config.text_length or _text_length(lengths, longest=config.pad_label)
    fits = lengths <= num_outputs if config.pad_label else lengths == num_outputs
    at_most = "at most " if config.pad_label else ""
    problems.add(
        ~fits,
        "label_length",
        lambda row: f"{lengths[row]} characters, expected {at_most}{num_outputs}",
    )
    return {
        f"y{position}": compute.utf8_slice_codeunits(texts, position, position + 1)
        for position in range(num_outputs)
    }


def _text_length(lengths: Ints, *, longest: bool) -> int:
    """Returns the longest or the commonest length of texts; of equals the longer."""
    counts = np.bincount(lengths)
    counts[0] = 0  # empty texts have no say
    if not counts.any():
        raise UsageError("every text is empty. Check --text-column, or --from-names.")
    used: int = np.flatnonzero(counts if longest else counts == counts.max())[-1].item()
    return used


def is_empty(texts: pa.Array) -> Ints:
    """Tells of each text whether it has no characters."""
    from pyarrow import compute

    empty: Ints = compute.equal(texts, "").to_numpy(zero_copy_only=False)
    return empty
