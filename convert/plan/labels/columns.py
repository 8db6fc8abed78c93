"""The text of each output's label, some rows at a time: from columns, or from one of texts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from convert.config import ConvertConfig
from convert.errors import UsageError
from convert.plan.labels.vocabulary import BLANK
from convert.plan.rejected_rows import Problems
from convert.plan.spooled import blocks

if TYPE_CHECKING:
    import pyarrow as pa

Ints = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class LabelColumns:
    """Labels in a column for each output.

    Attributes:
        columns: Output name -> large_string, all of one length.
    """

    columns: dict[str, pa.Array]

    @property
    def outputs(self) -> list[str]:
        """The outputs' names."""
        return list(self.columns)

    def of(self, rows: slice) -> dict[str, pa.Array]:
        """Returns output name -> the labels of some rows."""
        return {name: column[rows] for name, column in self.columns.items()}


@dataclass(frozen=True, slots=True)
class TextLabels:
    """Labels that are the characters of texts, or the elements of lists, an output each.

    Attributes:
        texts: large_string or large_list<large_string>.
        outputs: The outputs' names.
    """

    texts: pa.Array
    outputs: list[str]

    def of(self, rows: slice) -> dict[str, pa.Array]:
        """Returns output name -> the labels of some rows; a blank where a text is shorter."""
        import pyarrow as pa
        from pyarrow import compute

        texts = self.texts[rows]
        if pa.types.is_large_list(texts.type):
            return {name: _elements(texts, place) for place, name in enumerate(self.outputs)}
        return {
            name: compute.utf8_slice_codeunits(texts, place, place + 1)
            for place, name in enumerate(self.outputs)
        }


def label_columns(columns: dict[str, pa.Array], problems: Problems) -> LabelColumns:
    """Leaves out the rows that lack a label.

    Args:
        columns: Output name -> large_string, all of one length.
        problems: Gets these rows.
    """
    problems.add(
        np.logical_or.reduce([is_empty(column) for column in columns.values()]),
        "label_missing",
        lambda row: (
            "no label for "
            + ", ".join(name for name, column in columns.items() if not column[row].as_py())
        ),
    )
    return LabelColumns(columns)


def split_texts(texts: pa.Array, config: ConvertConfig, problems: Problems) -> TextLabels:
    """Finds how many labels texts have, and leaves out the rows that have others.

    Args:
        texts: Texts, whose characters are the labels, or lists of labels.
        config: The options.
        problems: Gets the rows that have no label, or too many or few.

    Raises:
        UsageError: Every text is empty.
    """
    import pyarrow as pa

    lengths = _lengths(texts)
    empty = "the text is empty" if config.from_names is None else "its name has no label"
    problems.add(lengths == 0, "label_missing", lambda row: empty)
    num_outputs = config.text_length or _text_length(lengths, longest=config.pad_label)
    fits = lengths <= num_outputs if config.pad_label else lengths == num_outputs
    at_most = "at most " if config.pad_label else ""
    is_list = pa.types.is_large_list(texts.type)
    unit = "labels" if is_list else "characters"
    problems.add(
        ~fits,
        "label_length",
        lambda row: f"{lengths[row]} {unit}, expected {at_most}{num_outputs}",
    )
    if is_list:
        _leave_out_gaps(texts, problems)
    return TextLabels(texts, [f"y{place}" for place in range(num_outputs)])


def _lengths(texts: pa.Array) -> Ints:
    """Returns the number of labels in each text, int32."""
    import pyarrow as pa
    from pyarrow import compute

    is_list = pa.types.is_large_list(texts.type)
    count = compute.list_value_length if is_list else compute.utf8_length
    lengths = np.empty(len(texts), np.int32)
    for rows in blocks(len(texts)):
        lengths[rows] = count(texts[rows]).to_numpy(zero_copy_only=False)
    return lengths


def _text_length(lengths: Ints, *, longest: bool) -> int:
    """Returns the longest or the commonest length of texts; of equals the longer."""
    counts = np.zeros(int(lengths.max()) + 1, np.int64)
    for rows in blocks(len(lengths)):
        counts += np.bincount(lengths[rows], minlength=len(counts))
    counts[0] = 0  # empty texts have no say
    if not counts.any():
        raise UsageError("every text is empty. Check --text-column, or --from-names.")
    used: int = np.flatnonzero(counts if longest else counts == counts.max())[-1].item()
    return used


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

    bad = np.zeros(len(lists), bool)
    for rows in blocks(len(lists)):
        some = lists[rows]
        parents = compute.list_parent_indices(some).to_numpy()
        bad[rows][parents[is_empty(some.flatten())]] = True
    problems.add(bad, "label_missing", lambda row: "a label of its list is empty")


def is_empty(texts: pa.Array) -> Ints:
    """Returns for each text whether it has no characters, bool."""
    from pyarrow import compute

    empty: Ints = compute.equal(texts, "").to_numpy(zero_copy_only=False)
    return empty
