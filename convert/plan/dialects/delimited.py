"""Tables with a character between columns: CSV after RFC 4180, TSV without any quoting.

A quotation mark that is never closed joins rows. So rows are counted a second time by other code
than Arrow's, and a line break in what a conversion reads is refused.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from convert.errors import UsageError
from convert.plan.dialects.columns import Table, as_text, check_header
from convert.plan.dialects.encoding import LabelText
from convert.plan.dialects.roles import ManifestOptions, Roles, find_roles

if TYPE_CHECKING:
    import pyarrow as pa

_REMEDY = (
    'In CSV such a value stands in quotation marks with each of its own doubled ("a""b"); '
    "in a .tsv file they are ordinary characters."
)
_LINE_FEED = 10

KINDS = {
    ",": "CSV table",
    "\t": "TSV table",
    ";": "CSV table with semicolons",
    "|": "CSV table with bars",
}
"""Delimiter -> what such a table is called."""


def split_header(line: str, delimiter: str) -> list[str]:
    """Returns the names in a header, without blanks around them."""
    cells = line.split("\t") if delimiter == "\t" else next(csv.reader([line], delimiter=delimiter))
    return [name.strip() for name in cells]


def read_delimited(text: LabelText, options: ManifestOptions, *, delimiter: str) -> Table:
    """Reads a table.

    Args:
        text: The file.
        options: Which columns hold paths and labels.
        delimiter: Between columns; after a tab a quotation mark is a character like any other.

    Raises:
        UsageError: Rows differ in length, quotes join rows, or there is no column of paths.
        pa.ArrowException: It cannot be read.
    """
    import pyarrow as pa

    header = next((cells for _, cells in numbered_rows(text, delimiter)), [])
    # Spreadsheets leave empty columns at the end.
    names = [name.strip() or f"unnamed {index}" for index, name in enumerate(header)]
    check_header(text.path, names)
    roles = find_roles(text.path, names, options)
    expected, has_quotes = _count_rows(text, delimiter)
    kind = KINDS[delimiter]
    if not expected:
        return Table(kind=kind, columns={}, roles=roles)
    try:
        columns = as_text(text.path, names, _batches(text, delimiter, header), roles)
    except pa.ArrowInvalid as error:
        if "columns, got" in str(error):
            _refuse_ragged(text, delimiter, len(header))
        raise
    if has_quotes:
        _check_values(text, delimiter, columns, roles)
    num_rows = len(columns[roles.path])
    if expected != num_rows:
        raise UsageError(
            f"{text.path}: {expected:,} rows by its lines, but {num_rows:,} by its quotation "
            f"marks. {_REMEDY}"
        )

    def line_of(row: int) -> int:
        return next(islice(numbered_rows(text, delimiter), row + 1, None))[0]

    return Table(kind=kind, columns=columns, roles=roles, line_of=line_of)


def _batches(text: LabelText, delimiter: str, header: list[str]) -> Iterator[pa.RecordBatch]:
    """Yields the rows, some at a time, every column as text."""
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    is_quoted = delimiter != "\t"
    with arrow_csv.open_csv(
        text.for_arrow(),
        # One thread, so that an error names its row.
        read_options=arrow_csv.ReadOptions(use_threads=False),
        parse_options=arrow_csv.ParseOptions(
            delimiter=delimiter,
            quote_char='"' if is_quoted else False,
            newlines_in_values=is_quoted,
        ),
        convert_options=arrow_csv.ConvertOptions(
            column_types=dict.fromkeys(header, pa.string()),
            null_values=[],
            strings_can_be_null=False,
        ),
    ) as batches:
        yield from batches


def _refuse_ragged(text: LabelText, delimiter: str, expected: int) -> None:
    """Raises `UsageError` for the first row that has not as many values as the header."""
    for begin, cells in numbered_rows(text, delimiter):
        if len(cells) != expected:
            values = "1 value" if len(cells) == 1 else f"{len(cells)} values"
            raise UsageError(
                f"{text.path}: line {begin} has {values}, the header {expected}: "
                f"{delimiter.join(cells)}."
            )


def numbered_rows(text: LabelText, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yields the line on which each row begins, from 1, and its values; the header is first.

    Raises:
        UsageError: A quotation mark stands where CSV allows none.
    """
    if delimiter == "\t":
        with text.lines() as lines:
            for number, line in enumerate(lines, 1):
                if line != "\n":
                    yield number, line.removesuffix("\n").split("\t")
        return
    with text.lines(newline="") as lines:
        taken: list[str] = []  # the lines of the row that is being read
        reader = csv.reader(_noted(lines, taken), delimiter=delimiter, strict=True)
        begin = 1
        try:
            for cells in reader:
                if len(taken) > 1:
                    _refuse_joined(text, begin, taken, cells, delimiter)
                if cells:
                    yield begin, cells
                begin = reader.line_num + 1
                taken.clear()
        except csv.Error as error:
            is_open = "end of data" in str(error) or "field limit" in str(error)
            what = "begins a value that does not end" if is_open else "stands where CSV allows none"
            raise UsageError(
                f"{text.path}: line {begin}: a quotation mark {what}. {_REMEDY}"
            ) from error


def _noted(lines: Iterable[str], taken: list[str]) -> Iterator[str]:
    for line in lines:
        taken.append(line)
        yield line


def _refuse_joined(
    text: LabelText, begin: int, lines: list[str], cells: list[str], delimiter: str
) -> None:
    """Refuses a row of several lines of which a later one could be a row by itself.

    Args:
        text: The file.
        begin: The row's first line.
        lines: All of its lines.
        cells: Its values.
        delimiter: Between values.
    """
    if any(line.count(delimiter) >= len(cells) - 1 > 0 for line in lines[1:]):
        raise UsageError(
            f"{text.path}: line {begin}: a quotation mark joins {len(lines)} lines that could be "
            f"rows of their own. {_REMEDY}"
        )


def _count_rows(text: LabelText, delimiter: str) -> tuple[int, bool]:
    """Counts the data rows without Arrow; tells whether some value may be quoted."""
    lines = 0
    open_bytes = 0  # of a line that goes on in the next piece
    for piece in text.pieces():
        if delimiter != "\t" and b'"' in piece:
            return sum(1 for _ in numbered_rows(text, delimiter)) - 1, True
        found, open_bytes = _count_lines(piece, open_bytes)
        lines += found
    return lines + (open_bytes > 0) - 1, False


def _count_lines(piece: bytes, open_bytes: int) -> tuple[int, int]:
    """Counts the lines that end in a piece and are not empty.

    Args:
        piece: A part of the text.
        open_bytes: Length of the line that the piece before left open.

    Returns:
        Their number, and the length of the line that this piece leaves open.
    """
    if b"\r" in piece:  # of CR LF, the second ends a line of no length
        piece = piece.replace(b"\r", b"\n")
    last = piece.rfind(b"\n")
    if last < 0:
        return 0, open_bytes + len(piece)
    count = piece.count(b"\n")
    if b"\n\n" in piece:
        ends = np.flatnonzero(np.frombuffer(piece, np.uint8) == _LINE_FEED)
        count -= int(np.count_nonzero(np.diff(ends) == 1))
    if not open_bytes and piece[0] == _LINE_FEED:
        count -= 1
    return count, len(piece) - 1 - last


def _check_values(
    text: LabelText, delimiter: str, columns: dict[str, pa.Array], roles: Roles
) -> None:
    """Refuses values that show that quotation marks were meant otherwise than CSV has them."""
    from pyarrow import compute

    used = {roles.path, *roles.label_columns}
    for name, column in columns.items():
        if name in used:
            _refuse(text, delimiter, name, compute.match_substring_regex(column, "[\r\n]"))
            # `a, "b"`: after the blank a quotation mark is part of the value.
            spaced = compute.match_substring_regex(column, r'^\s+".*"\s*$')
            _refuse(text, delimiter, name, spaced, spaced=True)


def _refuse(
    text: LabelText, delimiter: str, name: str, found: pa.Array, *, spaced: bool = False
) -> None:
    """Raises `UsageError` for the first row in which something was found."""
    row = found.index(True).as_py()
    if row < 0:
        return
    begin, cells = next(islice(numbered_rows(text, delimiter), row + 1, None))
    value = next((cell for cell in cells if "\n" in cell or "\r" in cell), "")
    if spaced:
        what = (
            f"a blank before a quotation mark makes both part of {name!r}. "
            "Take the blanks after the commas out"
        )
    else:
        lines = value.replace("\r\n", "\n").replace("\r", "\n").count("\n")
        what = (
            f"{name!r} holds a line break: it begins with a quotation mark and goes on over "
            f"{lines + 1} lines. {_REMEDY}"
        )
    raise UsageError(f"{text.path}: line {begin}: {what.rstrip('.')}.")
