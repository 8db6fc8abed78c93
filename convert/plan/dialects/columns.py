"""What a dialect makes of a file; columns of any type as columns of text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from convert.errors import UsageError
from convert.plan.dialects.roles import Roles

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """What a dialect made of a file.

    Attributes:
        kind: The dialect, for people.
        columns: Name -> text values; the text column may hold lists of text.
        roles: Which columns hold paths and labels. None: there are no rows.
        line_of: Row -> line. None: it has no lines.
    """

    kind: str
    columns: dict[str, pa.Array]
    roles: Roles | None
    line_of: Callable[[int], int] | None = None


def check_header(path: str, names: Sequence[str]) -> None:
    """Refuses names that occur twice.

    Raises:
        UsageError: One does.
    """
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise UsageError(f"{path}: the column {twice[0]!r} occurs twice. Rename one of them.")


def as_text(path: str, columns: Mapping[str, Any], roles: Roles) -> dict[str, pa.Array]:
    """Returns columns as text without nulls, or as lists of text where a label is a list.

    Args:
        path: The label file, for messages.
        columns: Name -> chunked array of any type.
        roles: Which of them are read.

    Returns:
        Name -> large_string; the text column may be large_list<large_string>. Other nested
        columns are left out unless they are read.

    Raises:
        UsageError: A column that is read holds neither text nor, for a text, lists of it.
    """
    import pyarrow as pa
    from pyarrow import compute, types

    texts: dict[str, pa.Array] = {}
    for name, column in columns.items():
        if types.is_nested(column.type):
            if name == roles.text and _is_list(column.type):
                texts[name] = _list_labels(path, name, column)
            elif name == roles.path or name in roles.label_columns:
                raise UsageError(f"{path}: {_nested(name, column.type, roles)}")
            continue
        if types.is_floating(column.type):  # pandas means NaN for a gap
            column = compute.if_else(compute.is_nan(column), None, column)
        # large_string: the offsets of a column beyond 2 GiB of text do not fit in 32 bits.
        text = column.cast(pa.large_string()).combine_chunks()
        texts[name] = compute.fill_null(text, "")
    return texts


def _is_list(kind: Any) -> bool:
    from pyarrow import types

    is_list = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
    if not is_list:
        return False
    value = kind.value_type
    return not (types.is_nested(value) or types.is_floating(value) or types.is_boolean(value))


def _list_labels(path: str, name: str, column: Any) -> pa.Array:
    """Returns a column of lists, one class an output; a missing list is empty."""
    import pyarrow as pa
    from pyarrow import compute

    lists = column.combine_chunks().cast(pa.large_list(pa.large_string()))
    if lists.flatten().null_count:
        bad = next(i for i, value in enumerate(lists.to_pylist()) if value and None in value)
        raise UsageError(f"{path}: row {bad}: a list in {name!r} has an empty place (null).")
    empty = pa.scalar([], lists.type)
    return compute.if_else(lists.is_valid(), lists, empty) if lists.null_count else lists


def _nested(name: str, kind: Any, roles: Roles) -> str:
    if name == roles.path:
        return (
            f"the column of paths, {name!r}, holds {kind}, expected text. "
            "Images inside a table are not read: write them to files, and name their paths."
        )
    return f"the labels in {name!r} are {kind}, expected text, or in a text column lists of text."
