"""Label files without a header, a line an image: lists, and those of the ICDAR competitions."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING, Literal

from convert.dialects.text import LabelText
from convert.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa

Separator = Literal["tab", "comma", "blank"]

_LINES_AT_ONCE = 65_536  # bounds what exists as Python objects at one time
_SUFFIXES = "png|apng|jpg|jpeg|jpe|jfif|bmp|gif|tif|tiff|webp"
# A path may hold blanks: it ends with the first image suffix before one.
_NAMED = re.compile(rf"(?i)(.*?\.(?:{_SUFFIXES}))[ \t]+(.*)")
_FIRST_BLANK = re.compile(r"(\S+)[ \t]+(.*)")
_COMMA = re.compile(rf"(?i)[^,\t]+\.(?:{_SUFFIXES}),")
_ICDAR = re.compile(r'([^"]+?),\s*"(.*)"\s*')
_ESCAPED = re.compile(r'\\(["\\])')
_IMAGE = re.compile(rf"(?i).*\.(?:{_SUFFIXES})[\"']?(?:[\t ,]|$)")


def is_icdar(lines: Iterable[str]) -> bool:
    """Tells whether all lines are `path, "text"`."""
    return all(map(_ICDAR.fullmatch, lines))


def begins_with_image(line: str) -> bool:
    """Tells whether a line begins with the name of an image."""
    return _IMAGE.match(line) is not None


def is_list_of_paths(line: str) -> bool:
    """Tells whether a line is PaddleOCR's for several images of one text."""
    return line.startswith("[") and "]\t" in line


def separator_of(lines: list[str]) -> Separator:
    """Returns what stands between path and text in all of some lines."""
    if all("\t" in line for line in lines):
        return "tab"
    return "comma" if all(map(_COMMA.match, lines)) else "blank"


def read_list(text: LabelText) -> tuple[dict[str, pa.Array], Separator]:
    """Reads a list: a path, a tab, a comma or blanks, and a text, on each line.

    Raises:
        UsageError: A line has no text, or the lines have more than two columns.
    """
    head = text.head_lines()
    separator = separator_of(head)
    _check_shape(text.path, head, separator)
    rows = ((number, _split(line, separator)) for number, line in text.numbered())
    expected = {"tab": "PATH, a tab, TEXT", "comma": "PATH,TEXT", "blank": "PATH TEXT"}[separator]
    return _columns(text.path, rows, expected), separator


def read_icdar(text: LabelText) -> dict[str, pa.Array]:
    """Reads lines of `path, "text"`.

    Raises:
        UsageError: A line is none.
    """
    matches = ((number, _ICDAR.fullmatch(line)) for number, line in text.numbered())
    rows = ((number, m and (m[1].strip(), _ESCAPED.sub(r"\1", m[2]))) for number, m in matches)
    return _columns(text.path, rows, 'PATH, "TEXT"')


def _split(line: str, separator: Separator) -> tuple[str, str] | None:
    if separator == "blank":
        match = _NAMED.fullmatch(line) or _FIRST_BLANK.fullmatch(line)
        return (match[1], match[2]) if match else None
    path, found, value = line.partition("\t" if separator == "tab" else ",")
    return (path, value) if found else None


def _columns(
    path: str, rows: Iterable[tuple[int, tuple[str, str] | None]], expected: str
) -> dict[str, pa.Array]:
    import pyarrow as pa

    paths, texts = [], []
    rows = iter(rows)
    while some := list(islice(rows, _LINES_AT_ONCE)):
        good = []
        for number, pair in some:
            if pair is None:
                raise UsageError(f"{path}: line {number} is no {expected}.")
            _check_cells(path, number, *pair)
            good.append(pair)
        paths.append(pa.array([p for p, _ in good], pa.large_string()))
        texts.append(pa.array([t for _, t in good], pa.large_string()))
    if not paths:
        return {}
    return {"path": pa.concat_arrays(paths), "text": pa.concat_arrays(texts)}


def _check_cells(path: str, number: int, image: str, text: str) -> None:
    """Refuses what only looks like a path and a text."""
    if image[:1] == '"' or image[:1] == "[":
        raise UsageError(
            f"{path}: line {number} begins with {image[:1]}, expected a path. A list has no "
            "quoting, and one path a line: save it as CSV with the header path,text."
        )
    if text.startswith('[{"'):
        raise UsageError(
            f"{path}: line {number} holds boxes, as labels for text detection do, expected the "
            "text of one image. Cut the words out first."
        )


def _check_shape(path: str, lines: list[str], separator: Separator) -> None:
    """Refuses tables of more columns that have no header."""
    if separator == "blank" or not lines:
        return
    counts = {line.count("\t" if separator == "tab" else ",") for line in lines}
    if counts == {1} or min(counts) <= 1:
        return
    raise UsageError(
        f"{path}: {min(counts) + 1} columns without a header: which of them hold labels? Give it "
        "a first line such as path,y0,y1, or path,text with other names for what is no label."
    )
