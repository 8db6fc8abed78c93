"""Manifests: CSV, TSV, JSON Lines or Parquet, read as columns of text.

Every value stays the text it was: `0012`, `NA` and dates are never reinterpreted; integers of
typed formats become their decimal text. pyarrow is imported where it is used, since it takes
longer to load than `convert --help` may.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convert.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa

BOX_COLUMNS = ("left", "top", "right", "bottom")
"""The columns of a row's own crop box."""

_TEXT_SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson")
_JSON_ROWS_AT_ONCE = 65_536  # bounds what exists as Python objects at one time


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """A manifest in memory.

    Attributes:
        path: The file as the user named it; messages quote it.
        columns: Column name -> text values, in the file's order, no nulls.
        num_rows: Data rows. At least 1.
        sha256: Digest of the file's bytes, in hexadecimal.
        notes: Lines that tell how it was read.
    """

    path: str
    columns: dict[str, pa.Array]
    num_rows: int
    sha256: str
    notes: tuple[str, ...] = ()

    def column(self, name: str, flag: str) -> pa.Array:
        """Returns a column of text.

        Args:
            name: The column's name.
            flag: What asked for it; messages quote it.

        Raises:
            UsageError: There is no such column.
        """
        if name not in self.columns:
            raise UsageError(
                f"{self.path}: no column {name!r} (from {flag}); "
                f"the columns are {', '.join(self.columns)}."
            )
        return self.columns[name]

    def where(self, row: int) -> str:
        """Returns where a row stands, for messages: `row 5`, and its line in a text file."""
        is_text = Path(self.path).suffix.lower() in _TEXT_SUFFIXES and os.path.isfile(self.path)
        return f"row {row} (line {line_of(self.path, row)})" if is_text else f"row {row}"


def read_manifest(file: str, path: str | None = None) -> Manifest:
    """Reads a manifest, its format told by the file's suffix.

    Args:
        file: `.csv`, `.tsv`, `.jsonl`, `.ndjson` or `.parquet` file, text in UTF-8.
        path: What messages call it. None: as it is.

    Raises:
        UsageError: The file cannot be read as a manifest.
    """
    import pyarrow as pa

    path = path or file
    readers = {
        ".csv": lambda: _read_delimited(file, path, ","),
        ".tsv": lambda: _read_delimited(file, path, "\t"),
        ".jsonl": lambda: _read_json_lines(file, path),
        ".ndjson": lambda: _read_json_lines(file, path),
        ".parquet": lambda: _read_parquet(file, path),
    }
    suffix = Path(path).suffix.lower()
    if suffix not in readers:
        raise UsageError(
            f"{path}: a manifest ends in {', '.join(readers)}, got {suffix or 'no suffix'!r}."
        )
    try:
        digest = _sha256(file)
        columns = readers[suffix]()
    except FileNotFoundError as error:
        raise UsageError(f"{path}: no such manifest. Check the path.") from error
    except OSError as error:
        reason = error.strerror or _first_line(error)  # pyarrow raises it for a damaged Parquet
        raise UsageError(f"{path}: cannot read the manifest: {reason}.") from error
    except (pa.ArrowException, UnicodeError) as error:
        reason = _first_line(error)
        raise UsageError(f"{path}: not a valid {suffix[1:]} manifest: {reason}.") from error
    num_rows = len(next(iter(columns.values()), ()))
    if not num_rows:
        raise UsageError(f"{path}: the manifest has no rows. It needs a header and a row an image.")
    return Manifest(path=path, columns=columns, num_rows=num_rows, sha256=digest)


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(".")


def line_of(path: str, row: int) -> int:
    """Returns the 1-based line of a text manifest on which a data row ends.

    Blank lines are no rows, and a quoted value may span several lines.

    Args:
        path: CSV, TSV or JSON Lines file that `read_manifest` accepted.
        row: 0-based data row.
    """
    with Path(path).open(encoding="utf-8-sig", newline="") as file:
        if Path(path).suffix.lower() in (".csv", ".tsv"):
            reader = csv.reader(file, delimiter="\t" if path.lower().endswith(".tsv") else ",")
            next(islice(filter(None, reader), row + 1, None))
            return reader.line_num
        lines = (number for number, line in enumerate(file, 1) if line.strip())
        return next(islice(lines, row, None))


def _sha256(file: str) -> str:
    with open(file, "rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _read_delimited(file: str, path: str, delimiter: str) -> dict[str, pa.Array]:
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    with open(file, encoding="utf-8-sig", newline="") as lines:
        header = next(filter(None, csv.reader(lines, delimiter=delimiter)), [])
    _check_header(path, header)
    table = arrow_csv.read_csv(
        file,
        # One thread, so that an error names its row.
        read_options=arrow_csv.ReadOptions(use_threads=False),
        parse_options=arrow_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        convert_options=arrow_csv.ConvertOptions(
            column_types=dict.fromkeys(header, pa.string()),
            null_values=[],
            strings_can_be_null=False,
        ),
    )
    return _as_text(path, table)


def _read_json_lines(file: str, path: str) -> dict[str, pa.Array]:
    import pyarrow as pa

    tables: list[pa.Table] = []
    names: list[str] | None = None
    with open(file, encoding="utf-8-sig") as lines:
        objects = _json_objects(path, lines)
        while rows := list(islice(objects, _JSON_ROWS_AT_ONCE)):
            names = names or list(rows[0])
            columns = [[_json_text(row.get(name)) for row in rows] for name in names]
            tables.append(pa.table([pa.array(c, pa.string()) for c in columns], names=names))
    return _as_text(path, pa.concat_tables(tables)) if tables else {}


def _json_objects(path: str, lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Yields the object of each line that is not blank; the first one has every key."""
    names: set[str] | None = None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line, parse_float=str, object_pairs_hook=_unique_keys)
        except (ValueError, RecursionError) as error:
            reason = str(error).rstrip(".")
            raise UsageError(f"{path}: line {number} is not a JSON object: {reason}.") from error
        if not isinstance(value, dict):
            raise UsageError(f"{path}: line {number} is not a JSON object.")
        names = names or set(value)
        if unknown := sorted(set(value) - names):
            raise UsageError(
                f"{path}: line {number} has the key {unknown[0]!r}, which the first line has not. "
                "Give the first line every key, if need be with null."
            )
        yield value


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(pairs) != len(dict(pairs)):
        raise ValueError("a key occurs twice")
    return dict(pairs)


def _json_text(value: object) -> str:
    """Returns a JSON value as text; a missing one is empty."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _read_parquet(file: str, path: str) -> dict[str, pa.Array]:
    from pyarrow import parquet

    table = parquet.read_table(file)
    table.validate(full=True)  # a damaged file can hold text that is not UTF-8, and worse
    return _as_text(path, table)


def _as_text(path: str, table: pa.Table) -> dict[str, pa.Array]:
    """Returns a table's columns as text without nulls."""
    import pyarrow as pa
    from pyarrow import compute

    _check_header(path, table.column_names)
    columns: dict[str, pa.Array] = {}
    for name in table.column_names:
        # large_string: the offsets of a column beyond 2 GiB of text do not fit in 32 bits.
        text = table.column(name).cast(pa.large_string()).combine_chunks()
        columns[name] = compute.fill_null(text, "")
    return columns


def _check_header(path: str, names: list[str]) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise UsageError(f"{path}: the column {twice[0]!r} occurs twice. Rename one of them.")
