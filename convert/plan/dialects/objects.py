"""Label files of JSON: objects a line, an array of objects, path -> text, and MMOCR's."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from convert.errors import UsageError
from convert.plan.dialects.columns import Table
from convert.plan.dialects.encoding import LabelText
from convert.plan.dialects.roles import ManifestOptions, Roles, find_roles

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS_AT_ONCE = 65_536  # bounds what exists as Python objects at one time

Where = str  # `line 5` or `entry 5`
Entries = Iterable[tuple[Where, Any]]


class Pairs(dict[str, Any]):
    """A JSON object; `pairs` still has keys that occur twice."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.pairs = pairs


def parse(text: str) -> Any:
    """Parses JSON: objects become `Pairs`, a number with a point stays text, NaN is nothing.

    Raises:
        ValueError, RecursionError: It is none.
    """
    return json.loads(text, parse_float=str, parse_constant=_nothing, object_pairs_hook=Pairs)


def _parsed(text: str, problem: str) -> Any:
    """Parses JSON that a user wrote.

    Raises:
        UsageError: It is none; begins with `problem`.
    """
    try:
        return parse(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{problem}: {str(error).rstrip('.')}.") from error


def _nothing(name: str) -> None:
    """Stands for NaN and infinities, which JSON does not have and pandas means for a gap."""


def read_json_lines(text: LabelText, options: ManifestOptions) -> Table:
    """Reads an object a line; a key that a line lacks is empty there.

    Raises:
        UsageError: A line is no such object, or there is no column of paths.
    """

    def objects() -> Iterator[tuple[Where, Any]]:
        for number, line in text.numbered():
            where = f"line {number}"
            yield where, _parsed(line, f"{text.path}: {where} is not a JSON object")

    columns, roles = _columns(text.path, objects(), options)
    return Table(kind="JSON Lines file", columns=columns, roles=roles, line_of=text.line_of)


def read_json(text: LabelText, options: ManifestOptions) -> Table:
    """Reads a document: an array of objects, an object from paths to texts, or MMOCR's.

    Raises:
        UsageError: It is none of these, or not of the one that the options name.
    """
    with text.lines() as lines:
        content = _parsed(lines.read(), f"{text.path}: not a valid JSON file")
    found = options.format
    if found is None and isinstance(content, list):
        found = "table"
    elif found is None and isinstance(content, dict) and "data_list" in content:
        found = "mmocr"
    kind, entries_of = _DOCUMENTS[found or "mapping"]
    chosen = options if found == "table" else ManifestOptions()
    columns, roles = _columns(text.path, entries_of(text.path, content), chosen)
    return Table(kind=kind, columns=columns, roles=roles)


def _array(path: str, content: Any) -> Entries:
    if not isinstance(content, list):
        raise UsageError(f"{path}: expected a JSON array of objects, as --format table says.")
    return ((f"entry {i}", value) for i, value in enumerate(content))


def _mapping(path: str, content: Any) -> Entries:
    """Returns an object from paths to texts as a row each."""
    if not isinstance(content, Pairs):
        raise UsageError(f"{path}: expected one JSON object, from each path to its text.")
    return (
        (f"the entry {key!r}", Pairs([("path", key), ("text", value)]))
        for key, value in content.pairs
    )


def _mmocr(path: str, content: Any) -> Entries:
    """Reads MMOCR's `{"data_list": [{"img_path": ..., "instances": [{"text": ...}]}]}`."""
    entries = content.get("data_list") if isinstance(content, dict) else None
    if not isinstance(entries, list):
        raise UsageError(f"{path}: expected MMOCR's JSON object, with a list under `data_list`.")
    return ((f"entry {i} of data_list", _instance(path, i, e)) for i, e in enumerate(entries))


_DOCUMENTS: dict[str, tuple[str, Callable[[str, Any], Entries]]] = {
    "table": ("JSON array of objects", _array),
    "mapping": ("JSON object from paths to texts", _mapping),
    "mmocr": ("JSON file of MMOCR", _mmocr),
}
"""Format -> what it is called, and its rows."""


def _instance(path: str, index: int, entry: Any) -> Pairs:
    instances = entry.get("instances") if isinstance(entry, dict) else None
    if not isinstance(instances, list) or not isinstance(entry.get("img_path"), str):
        raise UsageError(f"{path}: entry {index} of data_list has no `img_path` and `instances`.")
    if len(instances) > 1:
        raise UsageError(
            f"{path}: entry {index} of data_list has {len(instances)} texts, expected one an "
            "image, as for text recognition. Cut the words out first."
        )
    texts = [i.get("text") if isinstance(i, dict) else None for i in instances] or [None]
    return Pairs([("path", entry["img_path"]), ("text", texts[0])])


def _columns(
    path: str, entries: Entries, options: ManifestOptions
) -> tuple[dict[str, pa.Array], Roles | None]:
    """Returns objects as columns.

    Args:
        path: The label file, for messages.
        entries: Where each object is, and the object.
        options: Which columns hold paths and labels.

    Returns:
        Columns of text, the text column also of lists; None of no objects.
    """
    import pyarrow as pa

    checked = _objects(path, entries)
    roles: Roles | None = None
    pieces: dict[str, list[pa.Array]] = {}
    num_rows = 0
    while some := list(islice(checked, _ROWS_AT_ONCE)):
        for name in dict.fromkeys(key for _, value in some for key in value):
            if name not in pieces:  # the rows before have no such key
                pieces[name] = [pa.array([""] * num_rows, pa.large_string())] if num_rows else []
        roles = roles or find_roles(path, list(pieces), options)
        for name, parts in pieces.items():
            parts.append(_column(path, name, some, roles))
        num_rows += len(some)
    return {name: _joined(path, name, parts) for name, parts in pieces.items()}, roles


def _objects(path: str, entries: Entries) -> Iterator[tuple[Where, Pairs]]:
    """Yields the objects; none has a key twice."""
    for where, value in entries:
        if not isinstance(value, Pairs):
            raise UsageError(f"{path}: {where} is not a JSON object.")
        if len(value.pairs) != len(value):
            raise UsageError(f"{path}: {where} is not a JSON object: a key occurs twice.")
        yield where, value


def _column(path: str, name: str, some: list[tuple[Where, Pairs]], roles: Roles) -> pa.Array:
    import pyarrow as pa

    is_read = name == roles.path or name in roles.labels
    cell: Callable[[object], str | list[str]] = _text if is_read else _any
    if name == roles.text:
        cell = _label
    values = []
    for where, value in some:
        try:
            values.append(cell(value.get(name)))
        except ValueError as error:
            raise UsageError(f"{path}: {where}: {name!r} is {error}") from error
    is_list = {isinstance(value, list) for value in values if value != ""}
    if is_list == {True}:
        return pa.array([value or [] for value in values], pa.large_list(pa.large_string()))
    if len(is_list) > 1:
        raise _mixed(path, name)
    try:
        return pa.array(values, pa.large_string())
    except UnicodeEncodeError as error:
        where = next(w for (w, _), v in zip(some, values, strict=True) if v == error.object)
        raise UsageError(
            f"{path}: {where}: {name!r} holds half a character, {error.object!a}. "
            "Write the character, or both halves of its escape."
        ) from error


def _mixed(path: str, name: str) -> UsageError:
    return UsageError(f"{path}: {name!r} is a list in some rows and text in others.")


def _joined(path: str, name: str, parts: list[pa.Array]) -> pa.Array:
    import pyarrow as pa

    if len({part.type for part in parts}) > 1:
        raise _mixed(path, name)
    return pa.concat_arrays(parts)


def _any(value: object) -> str:
    """Returns a value as text; a missing one is empty."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _text(value: object) -> str:
    """Returns a path or a label as text.

    Raises:
        ValueError: It is a list or an object.
    """
    if isinstance(value, dict):
        raise ValueError(f"an object, {_shown(value)}, expected text.")
    if isinstance(value, list):
        raise ValueError(f"a list, {_shown(value)}, expected text.")
    return _any(value)


def _label(value: object) -> str | list[str]:
    """Returns a text, or a list of labels for one output each.

    Raises:
        ValueError: It is an object, or a list of other things than text.
    """
    if not isinstance(value, list):
        return _text(value)
    if not all(isinstance(item, str | int) and not isinstance(item, bool) for item in value):
        raise ValueError(f"a list, {_shown(value)}, of other things than text.")
    return [_any(item) for item in value]


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else text[:39] + "…"
