"""Label files without a header, a line an image: of PaddleOCR and its like, and of ICDAR."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Literal

from convert.errors import UsageError
from convert.images.formats.suffixes import SUFFIXES
from convert.plan.dialects.columns import Table
from convert.plan.dialects.encoding import LabelText
from convert.plan.dialects.roles import PATH, ManifestOptions, Roles

LIST_ROLES = Roles(path=PATH, text="text", labels=())

Separator = Literal["tab", "comma", "semicolon", "bar", "blank"]

_LINES_AT_ONCE = 65_536  # bounds what exists as Python objects at one time
_SUFFIXES = "|".join(suffix[1:] for suffix in SUFFIXES)
# A path may hold blanks: it ends with the first image suffix before one.
_NAMED = re.compile(rf"(?i)(.*?\.(?:{_SUFFIXES}))[ \t]+(.*)")
_FIRST_BLANK = re.compile(r"(\S+)[ \t]+(.*)")
_BETWEEN: dict[Separator, str] = {"tab": "\t", "comma": ",", "semicolon": ";", "bar": "|"}
_PRINTABLE = tuple(name for name in _BETWEEN if name != "tab")
_ICDAR = re.compile(r'([^"]+?),\s*"(.*)"\s*')
_ICDAR_LINE = re.compile(r'[^"]+?,\s+".*"\s*')
_ESCAPED = re.compile(r'\\(["\\])')
_IMAGE = re.compile(rf"(?i).*\.(?:{_SUFFIXES})[\"']?(?:[\t ,;|]|$)")


def is_icdar(lines: Iterable[str]) -> bool:
    """Returns whether lines are `path, "text"`: one with the blank shows that all should be."""
    lines = list(lines)
    surely = any(_ICDAR_LINE.fullmatch(line) and begins_with_image(line) for line in lines)
    return surely or all(map(_ICDAR.fullmatch, lines))


def begins_with_image(line: str) -> bool:
    """Returns whether a line begins with the name of an image."""
    return _IMAGE.match(line) is not None


def is_list_of_paths(line: str) -> bool:
    """Returns whether a line is PaddleOCR's for several images of one text."""
    return line.startswith("[") and "]\t" in line


def separator_of(lines: list[str]) -> Separator:
    """Returns the separator between path and text that all lines have."""
    if all("\t" in line for line in lines):
        return "tab"
    for name in _PRINTABLE:
        before = re.compile(
            rf"(?i)[^\t{_BETWEEN[name]}]+\.(?:{_SUFFIXES}){re.escape(_BETWEEN[name])}"
        )
        if all(map(before.match, lines)):
            return name
    return "blank"


def read_list(text: LabelText, options: ManifestOptions) -> Table:
    """Reads a list: a path, a separator, and a text, on each line.

    Args:
        text: The file.
        options: With the format `list`, all after the first separator is the text.

    Raises:
        UsageError: A line has no text, or the lines have more than two columns.
    """
    head = text.head_lines()
    separator = separator_of(head)
    if options.format != "list":
        _check_shape(text.path, head, separator)
    rows = (
        (number, _split_checked(text.path, number, line, separator))
        for number, line in text.numbered()
    )
    expected = f"PATH{_BETWEEN.get(separator, ' ')}TEXT".replace("\t", ", a tab, ")
    return _table(text, f"list (a path, a {separator}, a text)", rows, expected)


def read_icdar(text: LabelText, options: ManifestOptions) -> Table:
    """Reads lines of `path, "text"`.

    Raises:
        UsageError: A line is none.
    """
    matches = ((number, _ICDAR.fullmatch(line)) for number, line in text.numbered())
    rows = ((number, m and (m[1].strip(), _ESCAPED.sub(r"\1", m[2]))) for number, m in matches)
    return _table(text, 'list in the style of ICDAR (a path, "text")', rows, 'PATH, "TEXT"')


def _split(line: str, separator: Separator) -> tuple[str, str] | None:
    if separator == "blank":
        match = _NAMED.fullmatch(line) or _FIRST_BLANK.fullmatch(line)
        return (match[1], match[2]) if match else None
    path, found, value = line.partition(_BETWEEN[separator])
    return (path, value) if found else None


def _split_checked(
    path: str, number: int, line: str, separator: Separator
) -> tuple[str, str] | None:
    """Returns a line's path and text; refuses what is meant to be CSV."""
    if line[0] in '"[':
        raise UsageError(
            f"{path}: line {number} begins with {line[0]}, expected a path. A list has no quoting, "
            "and one path a line. If this is CSV, give it a first line path,text."
        )
    pair = _split(line, separator)
    if pair is not None and separator in _PRINTABLE and pair[1].lstrip().startswith('"'):
        raise UsageError(
            f"{path}: line {number}: the text begins with a quotation mark, which is CSV's. "
            f"Give the file a first line path{_BETWEEN[separator]}text, or save it with tabs."
        )
    return pair


def _table(
    text: LabelText, kind: str, rows: Iterator[tuple[int, tuple[str, str] | None]], expected: str
) -> Table:
    import pyarrow as pa

    paths, texts = [], []
    while some := list(islice(rows, _LINES_AT_ONCE)):
        good = []
        for number, pair in some:
            if pair is None:
                raise UsageError(f"{text.path}: line {number} is no {expected}.")
            _check_text(text.path, number, pair[1])
            good.append(pair)
        paths.append(pa.array([p for p, _ in good], pa.large_string()))
        texts.append(pa.array([t for _, t in good], pa.large_string()))
    columns = {"path": pa.concat_arrays(paths), "text": pa.concat_arrays(texts)} if paths else {}
    return Table(kind=kind, columns=columns, roles=LIST_ROLES, line_of=text.line_of)


def _check_text(path: str, number: int, text: str) -> None:
    """Refuses what only looks like a text."""
    if text.startswith('[{"'):
        raise UsageError(
            f"{path}: line {number} holds boxes, as labels for text detection do, expected the "
            "text of one image. Cut the words out first."
        )


def _check_shape(path: str, lines: list[str], separator: Separator) -> None:
    """Refuses tables of more columns that have no header."""
    if separator == "blank" or not lines:
        return
    counts = {line.count(_BETWEEN[separator]) for line in lines}
    if counts == {1} or min(counts) <= 1:
        return
    raise UsageError(
        f"{path}: {min(counts) + 1} columns without a header: which of them hold labels? Give it "
        "a first line such as path,y0,y1; or, if all after the first is one text, --format list."
    )
