"""Counts the rows of label files by other code than the product's, a dialect each."""

import io
import json
import re
from typing import Any

from pyarrow import parquet

_BREAK = re.compile(r"\r\n|\n|\r")


def count_rows(data: bytes, note: str, encoding: str = "utf-8-sig") -> int:
    """Counts the rows of a label file.

    Args:
        data: The file.
        note: What `convert` took it for, in the words of its first line.
        encoding: Of the text.
    """
    if "Parquet" in note:
        return int(parquet.ParquetFile(io.BytesIO(data)).metadata.num_rows)
    text = data.decode(encoding)
    if "JSON array" in note:
        return len(json.loads(text))
    if "JSON object" in note:
        pairs: list[Any] = json.loads(text, object_pairs_hook=list)
        return len(pairs)
    if "MMOCR" in note:
        return len(json.loads(text)["data_list"])
    if "CSV" in note:
        return _csv_rows(text) - 1
    lines = [line for line in _BREAK.split(text) if line.strip() or ("TSV" in note and line)]
    return len(lines) - ("TSV" in note)


def _csv_rows(text: str) -> int:
    """Counts the rows of CSV: a line break in quotation marks ends none; empty lines are none."""
    rows = 0
    is_quoted = False
    at_start = True  # of a value
    has_some = False
    index = 0
    while index < len(text):
        character = text[index]
        if is_quoted:
            if character == '"' and text[index + 1 : index + 2] == '"':
                index += 1
            elif character == '"':
                is_quoted = False
        elif character in "\r\n":
            rows += has_some
            has_some, at_start = False, True
            index += 1
            continue
        elif character == '"' and at_start:
            is_quoted = True
        if not is_quoted or character != '"':
            at_start = not is_quoted and character in ",;"
        has_some = True
        index += 1
    return rows + has_some
