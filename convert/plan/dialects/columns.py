"""What a dialect makes of a file; columns of any type as columns of text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from convert.errors import UsageError
from convert.plan.dialects.roles import Roles
from convert.plan.spooled import TextColumn

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


def as_text(
    path: str, names: Sequence[str], batches: Iterable[pa.RecordBatch], roles: Roles
) -> dict[str, pa.Array]:
    """Returns columns as text without nulls, or as lists of text where a label is a list.

    Args:
        path: The label file, for messages.
        names: The columns' names.
        batches: Some rows each, of one schema, with columns of any type.
        roles: Which of them are read.

    Returns:
        Name -> large_string; the text column may be large_list<large_string>. Other nested
        columns are left out unless they are read.

    Raises:
        UsageError: A column that is read holds neither text nor, for a text, lists of it.
        ShardfeedError: There is no room for temporary files.
    """
    num_rows = 0
    with ExitStack() as files:
        texts = {name: files.enter_context(TextColumn()) for name in names}
        for batch in batches:
            for name, column in zip(names, batch.columns, strict=True):
                if _is_read(path, name, column.type, roles):
                    texts[name].append(_texts(path, name, column, num_rows))
                else:
                    texts.pop(name, None)
            num_rows += batch.num_rows
        return {name: column.finish() for name, column in texts.items()}


def _is_read(path: str, name: str, kind: Any, roles: Roles) -> bool:
    """Returns whether a column can be text; raises if it cannot and is wanted."""
    from pyarrow import types

    if not types.is_nested(kind) or (name == roles.text and _is_list(kind)):
        return True
    if name == roles.path or name in roles.label_columns:
        raise UsageError(f"{path}: {_nested(name, kind, roles)}")
    return False


def _texts(path: str, name: str, column: Any, first_row: int) -> pa.Array:
    """Returns some rows of a column as text."""
    import pyarrow as pa
    from pyarrow import compute, types

    if types.is_nested(column.type):
        return _list_labels(path, name, column, first_row)
    if types.is_floating(column.type):  # pandas means NaN for a gap
        column = compute.if_else(compute.is_nan(column), None, column)
    # large_string: the offsets of a column beyond 2 GiB of text do not fit in 32 bits.
    return compute.fill_null(column.cast(pa.large_string()), "")


def _is_list(kind: Any) -> bool:
    from pyarrow import types

    is_list = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
    if not is_list:
        return False
    value = kind.value_type
    return not (types.is_nested(value) or types.is_floating(value) or types.is_boolean(value))


def _list_labels(path: str, name: str, column: Any, first_row: int) -> pa.Array:
    """Returns some rows of a column of lists, one class an output; a missing list is empty."""
    import pyarrow as pa
    from pyarrow import compute

    lists = column.cast(pa.large_list(pa.large_string()))
    if lists.flatten().null_count:
        bad = next(i for i, value in enumerate(lists.to_pylist()) if value and None in value)
        raise UsageError(
            f"{path}: row {first_row + bad}: a list in {name!r} has an empty place (null)."
        )
    empty = pa.scalar([], lists.type)
    return compute.if_else(lists.is_valid(), lists, empty) if lists.null_count else lists


def _nested(name: str, kind: Any, roles: Roles) -> str:
    if name == roles.path:
        return (
            f"the column of paths, {name!r}, holds {kind}, expected text. "
            "Images inside a table are not read: write them to files, and name their paths."
        )
    return f"the labels in {name!r} are {kind}, expected text, or in a text column lists of text."
