"""Manifests of four formats: the same text in the same columns, or one line that says why not."""

import datetime
import json
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from manifest_cases import refusal, written
from pyarrow import parquet

from convert.plan.dialects import read_manifest

# What other readers of tables change: zeros, `NA`, dates, booleans, quotes, blanks.
COLUMNS = {
    "path": ["a/0001.png", "b, c.png", 'with "quotes".png', "两行.png", "semi;colon.png", " x "],
    "y0": ["0012", "NA", "null", "", "1e5", "-0"],
    "y1": ["2024-01-02", "true", "NaN", "None", "1.0", "#N/A"],
}


def quoted() -> str:
    """Returns the columns as CSV, every value quoted."""
    rows = [list(COLUMNS), *zip(*COLUMNS.values(), strict=True)]
    return "".join(
        ",".join('"' + value.replace('"', '""') + '"' for value in row) + "\n" for row in rows
    )


def tabbed() -> str:
    """Returns the columns as TSV, which has no quoting."""
    rows = [list(COLUMNS), *zip(*COLUMNS.values(), strict=True)]
    return "".join("\t".join(row) + "\n" for row in rows)


def json_lines() -> str:
    rows = zip(*COLUMNS.values(), strict=True)
    return "".join(json.dumps(dict(zip(COLUMNS, row, strict=True))) + "\n" for row in rows)


def columns_of(path: str) -> dict[str, list[str]]:
    """Reads a manifest; its columns must be text and of one length."""
    manifest = read_manifest(path)
    columns = {name: column.to_pylist() for name, column in manifest.columns.items()}
    assert {len(values) for values in columns.values()} == {manifest.num_rows}
    assert {column.type for column in manifest.columns.values()} == {pa.large_string()}
    return columns


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("m.csv", quoted()),
        ("m.CSV", quoted()),
        ("m.csv", quoted().removesuffix("\n")),
        ("m.csv", "\ufeff" + quoted()),  # as spreadsheets save
        ("m.csv", "\n" + quoted() + "\n\n"),  # blank lines are no rows
        ("m.tsv", tabbed()),
        ("m.jsonl", json_lines()),
        ("m.ndjson", "\ufeff" + json_lines().replace("\n", "\n\n")),
    ],
)
def test_every_text_stays_what_it_was(tmp_path: Path, name: str, content: str) -> None:
    assert columns_of(written(tmp_path / name, content)) == COLUMNS


def test_parquet_keeps_every_text(tmp_path: Path) -> None:
    parquet.write_table(pa.table(COLUMNS), tmp_path / "m.parquet")
    assert columns_of(str(tmp_path / "m.parquet")) == COLUMNS


def test_windows_line_ends(tmp_path: Path) -> None:
    path = written(tmp_path / "m.csv", "path,y0\r\na.png,x\r\nb.png,y\r\n")
    assert columns_of(path) == {"path": ["a.png", "b.png"], "y0": ["x", "y"]}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("7", "7"),
        ("12345678901234567890123", "12345678901234567890123"),  # no float in between
        ("1.50", "1.50"),
        ("1e3", "1e3"),
        ("true", "true"),
        ("null", ""),
        ('"\\u957f"', "长"),
        ('{"a": ["长"]}', '{"a": ["长"]}'),  # of a column that nobody reads
    ],
)
def test_json_values_become_text(tmp_path: Path, value: str, text: str) -> None:
    path = written(tmp_path / "m.jsonl", f'{{"path": "a", "note": {value}}}\n{{"path": "b"}}\n')
    assert columns_of(path) == {"path": ["a", "b"], "note": [text, ""]}  # absent: empty


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        (pa.array([7, None, -1], pa.int64()), ["7", "", "-1"]),
        (pa.array([2**64 - 1], pa.uint64()), ["18446744073709551615"]),
        (pa.array([datetime.date(2024, 1, 2)]), ["2024-01-02"]),
        (pa.array(["a", "b", "a"]).dictionary_encode(), ["a", "b", "a"]),
        (pa.array([None, "x"]), ["", "x"]),
    ],
)
def test_parquet_types_become_text(tmp_path: Path, values: pa.Array, texts: list[str]) -> None:
    parquet.write_table(pa.table({"path": values}), tmp_path / "m.parquet")
    assert columns_of(str(tmp_path / "m.parquet")) == {"path": texts}


@settings(max_examples=50)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=5))
def test_any_text_survives_json_and_parquet(
    tmp_path_factory: pytest.TempPathFactory, values: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("any")
    lines = "".join(json.dumps({"path": value}) + "\n" for value in values)
    parquet.write_table(pa.table({"path": values}), folder / "m.parquet")
    for path in (written(folder / "m.jsonl", lines), str(folder / "m.parquet")):
        assert columns_of(path) == {"path": values}


def test_the_digest_is_that_of_the_bytes(tmp_path: Path) -> None:
    import hashlib

    content = quoted().encode()
    path = written(tmp_path / "m.csv", content)
    assert read_manifest(path).sha256 == hashlib.sha256(content).hexdigest()


NO_ROWS = "the manifest has no rows. It needs a row an image."
UNKNOWN = (
    "not a label file of a kind that is known by its content. Names of label files end in "
    ".csv, .tsv, .jsonl, .ndjson, .json, .parquet, .txt, .list; force one with --format."
)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("m.csv", "path,y0,y0\na,1,2\n", "the column 'y0' occurs twice. Rename one of them."),
        ("m.tsv", "path\tpath\na\tb\n", "the column 'path' occurs twice. Rename one of them."),
        (
            "m.csv",
            "path,y0\na.png,x\nb.png\nc.png,z\n",
            "line 3 has 1 value, the header 2: b.png.",
        ),
        (
            "m.csv",
            "path,y0\na.png,x,more\n",
            "line 2 has 3 values, the header 2: a.png,x,more.",
        ),
        (
            "m.csv",
            b"path,y0\na.png,\x81\n",
            "line 2 is not UTF-8 text. Give its encoding, by Python's name, with "
            "--manifest-encoding NAME; or save the file as UTF-8.",
        ),
        (
            "m.csv",
            b"path,y0\n" + b"a.png,x\n" * 100_000 + "a.png,长\n".encode("gbk"),  # far into the file
            "line 100002 is not UTF-8 text. "
            "--manifest-encoding cp1252 (Windows-1252) reads 'a.png,³¤'; "
            "--manifest-encoding gb18030 (GBK) reads 'a.png,长'; "
            "--manifest-encoding big5 (Big5) reads 'a.png,酗'; "
            "--manifest-encoding shift_jis (Shift JIS) reads 'a.png,ｳ､'; "
            "--manifest-encoding euc_kr (EUC-KR) reads 'a.png,낀'; "
            "others go by Python's names, such as cp1251; or save the file as UTF-8.",
        ),
        (
            "m.jsonl",
            b'{"path": "a"}\n{"path": "\xff"}\n',
            "line 2 is not UTF-8 text. --manifest-encoding cp1252 (Windows-1252) reads "
            '\'{"path": "ÿ"}\'; others go by Python\'s names, such as cp1251; '
            "or save the file as UTF-8.",
        ),
        (
            "m.jsonl",
            '{"path": "\\ud800"}\n',
            "line 1: 'path' holds half a character, '\\ud800'. Write the character, or both halves "
            "of its escape.",
        ),
        ("m.csv", "", NO_ROWS),
        ("m.csv", "path,y0\n", NO_ROWS),
        ("m.csv", "path,y0", NO_ROWS),
        ("m.txt", "\n \n", NO_ROWS),
        ("m.jsonl", "", NO_ROWS),
        ("m.jsonl", "\n\n", NO_ROWS),
        ("m.jsonl", '{"path": "a"}\n\n[1]\n', "line 3 is not a JSON object."),
        (
            "m.jsonl",
            '{"path": "a"}\n{"path": \n',
            "line 2 is not a JSON object: Expecting value: line 1 column 10 (char 9).",
        ),
        (
            "m.jsonl",
            '{"path": "a", "path": "b"}\n',
            "line 1 is not a JSON object: a key occurs twice.",
        ),
        ("m.txt", "path\na\n", UNKNOWN),
        ("m", "one two three\n", UNKNOWN),
        (
            "m.xlsx",
            b"PK\x03\x04..",
            "this is an Excel workbook or another ZIP file; save the sheet as CSV in UTF-8.",
        ),
    ],
)
def test_refusals(tmp_path: Path, name: str, content: str | bytes, message: str) -> None:
    assert refusal(written(tmp_path / name, content)) == message


def test_files_that_are_not_there(tmp_path: Path) -> None:
    assert refusal(str(tmp_path / "m.csv")) == "no such manifest. Check the path."
    (tmp_path / "m.jsonl").mkdir()
    assert refusal(str(tmp_path / "m.jsonl")) == "cannot read the manifest: Is a directory."


def test_parquet_that_is_none_or_has_no_text(tmp_path: Path) -> None:
    path = written(tmp_path / "m.parquet", "path,y0\na,b\n")
    assert refusal(path).startswith("not a valid parquet manifest: ")
    parquet.write_table(pa.table({"path": ["a"], "y0": [[1, 2]], "box": [[1, 2]]}), path)
    assert refusal(path) == (
        "the labels in 'y0' are list<element: int64>, expected text, or in a text column lists "
        "of text."
    )
    parquet.write_table(pa.table({"path": ["a"], "y0": ["1"], "box": [[1, 2]]}), path)
    assert columns_of(path) == {"path": ["a"], "y0": ["1"]}  # what cannot be text is no column


@pytest.mark.parametrize(
    ("name", "content", "lines"),
    [
        ("m.csv", "path\na\nb\n", [2, 3]),
        ("m.csv", "\npath\n\na\n\nb\n", [4, 6]),  # blank lines are no rows
        ("m.csv", 'path,note\na,"b\nc"\nd,e\n', [2, 4]),  # a note of two lines
        ("m.tsv", "path\ty\na\tb\n", [2]),
        ("m.jsonl", '{"path": "a"}\n\n{"path": "b"}\n', [1, 3]),
    ],
)
def test_line_of(tmp_path: Path, name: str, content: str, lines: list[int]) -> None:
    path = written(tmp_path / name, content)
    manifest = read_manifest(path)
    assert manifest.line_of is not None
    assert [manifest.line_of(row) for row in range(manifest.num_rows)] == lines
