"""Reading a label file: its dialect told by its name and content, then its columns."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import stat
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from convert.errors import UsageError
from convert.plan.dialects.columns import as_text, check_header
from convert.plan.dialects.delimited import numbered_rows, read_delimited
from convert.plan.dialects.detect import Kind, detect
from convert.plan.dialects.encoding import LabelText
from convert.plan.dialects.objects import (
    Pairs,
    read_document,
    read_json_lines,
    read_mapping,
    read_mmocr,
    table_of_objects,
)
from convert.plan.dialects.ocr_lists import read_icdar, read_list
from convert.plan.dialects.roles import PATH, ManifestOptions, Roles, find_roles
from convert.plan.manifest import Manifest

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS_AT_ONCE = 65_536
_LIST = Roles(path=PATH, text="text", labels=())


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class _Table:
    """What a dialect made of a file.

    Attributes:
        name: The dialect, for people.
        columns: Name -> text values.
        roles: Which columns hold paths and labels. None: there are no rows.
        line_of: Row -> line. None: it has no lines.
    """

    name: str
    columns: dict[str, pa.Array]
    roles: Roles | None
    line_of: Callable[[int], int] | None = None


def read_manifest(
    file: str, path: str | None = None, options: ManifestOptions | None = None
) -> Manifest:
    """Reads a label file.

    Args:
        file: The file on this machine.
        path: What messages call it. None: as it is.
        options: What the user said of it. None: its name and content tell all.

    Raises:
        UsageError: The file cannot be read as a manifest.
    """
    import pyarrow as pa

    path = path or file
    options = options or ManifestOptions()
    doubts: tuple[str, ...] = ()
    try:
        if not stat.S_ISREG(os.stat(file).st_mode) and not os.path.isdir(file):
            raise UsageError(f"{path}: no regular file, which a manifest has to be.")
        if Path(path).suffix.lower() == ".parquet":
            if options.encoding is not None or options.format not in (None, "table"):
                raise UsageError(f"{path}: a Parquet file has neither --format nor an encoding.")
            digest, table = _sha256(file), _parquet(file, path, options)
        else:
            text = LabelText(file, path, options.encoding)
            digest, doubts = text.sha256, text.doubts
            table = _read_text(text, options)
    except FileNotFoundError as error:
        raise UsageError(f"{path}: no such manifest. Check the path.") from error
    except OSError as error:
        reason = error.strerror or _first_line(error)  # pyarrow raises it for a damaged Parquet
        raise UsageError(f"{path}: cannot read the manifest: {reason}.") from error
    except (pa.ArrowException, UnicodeError) as error:
        reason = _first_line(error)
        kind = Path(path).suffix[1:].lower()
        raise UsageError(f"{path}: not a valid {kind} manifest: {reason}.") from error
    num_rows = len(next(iter(table.columns.values()), ()))
    if not num_rows or table.roles is None:
        raise UsageError(f"{path}: the manifest has no rows. It needs a row an image.")
    return Manifest(
        path=path,
        columns={**table.columns, PATH: table.columns[table.roles.path]},
        num_rows=num_rows,
        sha256=digest,
        names=tuple(table.columns),
        text_column=table.roles.text,
        label_columns=table.roles.labels,
        notes=(_understood(path, num_rows, table.name, table.roles), *doubts),
        line_of=table.line_of if path == file else None,
    )


def _read_text(text: LabelText, options: ManifestOptions) -> _Table:
    """Reads a label file of text."""
    import pyarrow as pa

    if not text.head_lines():
        return _Table(name="file", columns={}, roles=None)
    try:
        return _read_kind(text, detect(text, options), options)
    except UnicodeDecodeError as error:
        raise text.not_utf8() from error
    except pa.ArrowInvalid as error:
        if "UTF8" in str(error):
            raise text.not_utf8() from error
        raise


def _read_kind(text: LabelText, kind: Kind, options: ManifestOptions) -> _Table:
    if kind.name == "table":
        columns, roles = read_delimited(text, kind.delimiter, options)
        lines = partial(_line_of_row, text, kind.delimiter)
        return _Table(name=_DELIMITED[kind.delimiter], columns=columns, roles=roles, line_of=lines)
    if kind.name == "json lines":
        found = read_json_lines(text, options)
        lines = partial(_line_of_line, text)
        return _Table(name="JSON Lines file", columns=found[0], roles=found[1], line_of=lines)
    if kind.name in ("list", "icdar"):
        if kind.name == "list":
            columns, separator = read_list(text, is_forced=options.format == "list")
            name = f"list (a path, a {separator}, a text)"
        else:
            columns, name = read_icdar(text), 'list in the style of ICDAR (a path, "text")'
        lines = partial(_line_of_line, text)
        return _Table(name=name, columns=columns, roles=_LIST, line_of=lines)
    return _read_json(text, kind, options)


_DELIMITED = {
    ",": "CSV table",
    "\t": "TSV table",
    ";": "CSV table with semicolons",
    "|": "CSV table with bars",
}


def _read_json(text: LabelText, kind: Kind, options: ManifestOptions) -> _Table:
    content = read_document(text)
    if options.format is None and isinstance(content, list):
        columns, roles = table_of_objects(text.path, content, options)
        return _Table(name="JSON array of objects", columns=columns, roles=roles)
    is_mmocr = isinstance(content, Pairs) and "data_list" in content
    if options.format == "mmocr" or (options.format is None and is_mmocr):
        columns, roles = read_mmocr(text.path, content)
        return _Table(name="JSON file of MMOCR", columns=columns, roles=roles)
    if options.format == "table":
        columns, roles = table_of_objects(text.path, _entries(text.path, content), options)
        return _Table(name="JSON array of objects", columns=columns, roles=roles)
    columns, roles = read_mapping(text.path, content)
    return _Table(name="JSON object from paths to texts", columns=columns, roles=roles)


def _entries(path: str, content: object) -> list[object]:
    if not isinstance(content, list):
        raise UsageError(f"{path}: expected a JSON array of objects, as --format table says.")
    return content


def _parquet(file: str, path: str, options: ManifestOptions) -> _Table:
    from pyarrow import dataset

    partitioning = "hive" if os.path.isdir(file) else None
    table = dataset.dataset(file, format="parquet", partitioning=partitioning)
    names = table.schema.names
    check_header(path, names)
    roles = find_roles(path, names, options)
    batches = table.to_batches(batch_size=_ROWS_AT_ONCE, batch_readahead=1, fragment_readahead=1)
    columns = as_text(path, names, map(_whole, batches), roles)
    return _Table(name="Parquet table", columns=columns, roles=roles)


def _whole(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Returns a batch; a damaged file can hold text that is not UTF-8, and worse."""
    batch.validate(full=True)
    return batch


def _understood(path: str, num_rows: int, name: str, roles: Roles) -> str:
    """Returns the line that says what a file was taken for."""
    labels = ", ".join(roles.label_columns)
    where = f"; path from {roles.path!r}" if roles.path != PATH else ""
    what = f", text from {roles.text!r}" if roles.text else f", labels from {labels}"
    is_list = roles is _LIST
    return f"{path}: {num_rows:,} rows of a {name}" + (
        "" if is_list else where + what * bool(labels)
    )


def _line_of_row(text: LabelText, delimiter: str, row: int) -> int:
    return next(islice(numbered_rows(text, delimiter), row + 1, None))[0]


def _line_of_line(text: LabelText, row: int) -> int:
    return next(islice(text.numbered(), row, None))[0]


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(".")


def _sha256(file: str) -> str:
    with open(file, "rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
