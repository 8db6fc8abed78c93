"""Which dialect a label file is in, told by its name and its first lines."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from convert.errors import UsageError
from convert.plan.dialects.columns import Table
from convert.plan.dialects.delimited import read_delimited, split_header
from convert.plan.dialects.encoding import LabelText
from convert.plan.dialects.objects import Pairs, parse, read_json, read_json_lines
from convert.plan.dialects.ocr_lists import (
    begins_with_image,
    is_icdar,
    is_list_of_paths,
    read_icdar,
    read_list,
)
from convert.plan.dialects.roles import ManifestOptions, has_labels, path_column

SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet", ".txt", ".list")
"""Names of label files end so; others are read as their content shows."""

_DELIMITERS = {".csv": ",;\t|", ".tsv": "\t,;|", "": "\t,;|"}


Dialect = Callable[[LabelText, ManifestOptions], Table]
"""Reads a file of one kind."""

_FORCED: dict[str | None, Dialect] = {
    "list": read_list, "icdar": read_icdar, "mapping": read_json, "mmocr": read_json,
}  # fmt: skip


def detect(text: LabelText, options: ManifestOptions) -> Dialect:
    """Returns the dialect of a label file.

    Raises:
        UsageError: It is not text, or like none of them.
    """
    suffix = Path(text.path).suffix.lower()
    head = text.head_lines()
    if options.format in _FORCED:
        return _FORCED[options.format]
    if suffix == ".json":
        return read_json_lines if _is_json_lines(head) else read_json
    if suffix in (".jsonl", ".ndjson"):
        return read_json if head[0].startswith("[") else read_json_lines
    return _table(suffix, head, options) or _without_header(text.path, suffix, head, options)


def _is_json_lines(head: list[str]) -> bool:
    """Returns whether a JSON file is an object a line rather than one document."""
    try:
        return len(head) > 1 and isinstance(parse(head[0]), Pairs)
    except (ValueError, RecursionError):
        return False


def _table(suffix: str, head: list[str], options: ManifestOptions) -> Dialect | None:
    """Returns the table whose header the first line is, if it is one."""
    known = suffix in (".csv", ".tsv")
    for delimiter in _DELIMITERS.get(suffix, _DELIMITERS[""]):
        names = split_header(head[0], delimiter)
        has_path = path_column(names, options) in names
        if has_path and (known or options.format == "table" or has_labels(names, options)):
            return partial(read_delimited, delimiter=delimiter)
    return None


def _without_header(path: str, suffix: str, head: list[str], options: ManifestOptions) -> Dialect:
    """Returns the dialect of lines of which the first is no header."""
    if head[0].startswith("sep="):
        raise UsageError(f"{path}: line 1 is Excel's note of the separator. Take it out.")
    known = _DELIMITERS.get(suffix, _DELIMITERS[""])
    delimiter = max(known, key=lambda between: len(split_header(head[0], between)))
    named = options.path_column or options.text_column or options.label_columns
    if options.format == "table" or named:  # the error names the columns that there are
        return partial(read_delimited, delimiter=delimiter)
    is_list = is_list_of_paths(head[0])
    if head[0][0] in "{[" and suffix not in (".csv", ".tsv") and not is_list:
        return read_json_lines if _is_json_lines([head[0], ""]) else read_json
    if is_icdar(head):
        return read_icdar
    if is_list or begins_with_image(head[0]):
        return read_list
    if suffix in (".csv", ".tsv"):
        return partial(read_delimited, delimiter=delimiter)  # whose error names the columns
    raise UsageError(
        f"{path}: not a label file of a kind that is known by its content. Names of label files "
        f"end in {', '.join(SUFFIXES)}; force one with --format."
    )
