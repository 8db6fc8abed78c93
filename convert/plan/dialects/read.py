"""Reading a label file: its dialect told by its name and content, then its columns."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from convert.errors import UsageError
from convert.plan.dialects.columns import Table, as_text, check_header
from convert.plan.dialects.detect import detect
from convert.plan.dialects.encoding import LabelText
from convert.plan.dialects.ocr_lists import LIST_ROLES
from convert.plan.dialects.roles import PATH, ManifestOptions, Roles, find_roles
from convert.plan.manifest import Manifest

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS_AT_ONCE = 65_536


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
        notes=(_understood(path, num_rows, table.kind, table.roles), *doubts),
        line_of=table.line_of if path == file else None,
    )


def _read_text(text: LabelText, options: ManifestOptions) -> Table:
    """Reads a label file of text."""
    import pyarrow as pa

    if not text.head_lines():
        return Table(kind="file", columns={}, roles=None)
    try:
        return detect(text, options)(text, options)
    except UnicodeDecodeError as error:
        raise text.not_utf8() from error
    except pa.ArrowInvalid as error:
        if "UTF8" in str(error):
            raise text.not_utf8() from error
        raise


def _parquet(file: str, path: str, options: ManifestOptions) -> Table:
    from pyarrow import dataset

    table = dataset.dataset(file, format="parquet")
    names = table.schema.names
    check_header(path, names)
    roles = find_roles(path, names, options)
    batches = table.to_batches(batch_size=_ROWS_AT_ONCE, batch_readahead=1, fragment_readahead=1)
    columns = as_text(path, names, map(_whole, batches), roles)
    return Table(kind="Parquet table", columns=columns, roles=roles)


def _whole(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Returns a batch; a damaged file can hold text that is not UTF-8, and worse."""
    batch.validate(full=True)
    return batch


def _understood(path: str, num_rows: int, name: str, roles: Roles) -> str:
    """Returns the line that says what a file was taken for."""
    labels = ", ".join(roles.label_columns)
    where = f"; path from {roles.path!r}" if roles.path != PATH else ""
    what = f", text from {roles.text!r}" if roles.text else f", labels from {labels}"
    is_list = roles is LIST_ROLES
    return f"{path}: {num_rows:,} rows of a {name}" + (
        "" if is_list else where + what * bool(labels)
    )


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(".")


def _sha256(file: str) -> str:
    with open(file, "rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
