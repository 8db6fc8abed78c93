"""Label files as the tools of the field write them: each is read without a flag."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from convert_cases import ALL, convert, draw_sources, options_of
from manifest_cases import refusal, written
from pyarrow import parquet

from convert.errors import UsageError
from convert.plan.dialects import read_manifest
from convert.plan.dialects.roles import ManifestOptions
from convert.write.open_inputs import find_label_file, open_manifest

NAMES = ["word_1.png", "word_2.png", "sub/word 3.JPG"]
TEXTS = ["JOINT", "it's 5\"", "大学"]


def lines(form: str, end: str = "\n") -> str:
    return "".join(form.format(n, t) + end for n, t in zip(NAMES, TEXTS, strict=True))


def table(header: str, delimiter: str = ",") -> str:
    """Returns a table as `csv` writes it."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=delimiter, lineterminator="\r\n")
    writer.writerow(header.split(","))
    writer.writerows(zip(NAMES, TEXTS, strict=True))
    return buffer.getvalue()


MAPPING = dict(zip(NAMES, TEXTS, strict=True))
MMOCR = {
    "metainfo": {"dataset_type": "TextRecogDataset", "task_name": "textrecog"},
    "data_list": [{"img_path": n, "instances": [{"text": t}]} for n, t in MAPPING.items()],
}
ICDAR = 'word_1.png, "JOINT"\r\nword_2.png, "it\'s 5\\""\r\nsub/word 3.JPG, "大学"\r\n'
OBJECTS = [{"file_name": n, "text": t} for n, t in MAPPING.items()]

AS_WRITTEN = {
    "PaddleOCR": ("rec_gt_train.txt", lines("{}\t{}"), "list (a path, a tab, a text)"),
    "deep-text-recognition": ("gt.txt", lines("{}\t{}", "\r\n"), "list (a path, a tab, a text)"),
    "the same without a last line's end": (
        "gt.txt", lines("{}\t{}").rstrip(), "list (a path, a tab, a text)",
    ),
    "a list named as a table": ("label.tsv", lines("{}\t{}"), "list (a path, a tab, a text)"),
    "TRDG": ("labels.txt", lines("{} {}"), "list (a path, a blank, a text)"),
    "a list with commas": ("train.list", lines("{},{}"), "list (a path, a comma, a text)"),
    "a table without a header": ("train.csv", lines("{},{}"), "list (a path, a comma, a text)"),
    "ICDAR": ("gt.txt", "\ufeff" + ICDAR, 'list in the style of ICDAR (a path, "text")'),
    "EasyOCR": ("labels.csv", table("filename,words"), "CSV table"),
    "HuggingFace": ("metadata.csv", table("file_name,text"), "CSV table"),
    "HuggingFace, lines": (
        "metadata.jsonl", "".join(json.dumps(o) + "\n" for o in OBJECTS), "JSON Lines file",
    ),
    "fast-plate-ocr": ("train.csv", table("image_path,plate_text"), "CSV table"),
    "Kaggle": ("train.csv", table("id,label"), "CSV table"),
    "docTR": ("labels.json", json.dumps(MAPPING, indent=4), "JSON object from paths to texts"),
    "MMOCR": ("textrecog_train.json", json.dumps(MMOCR), "JSON file of MMOCR"),
    "MMOCR 0.x": (
        "label.jsonl",
        "".join(json.dumps({"filename": n, "text": t}) + "\n" for n, t in MAPPING.items()),
        "JSON Lines file",
    ),
    "an array": ("all.json", json.dumps(OBJECTS), "JSON array of objects"),
    "lines named as a document": (
        "all.json", "\n".join(json.dumps(o) for o in OBJECTS), "JSON Lines file",
    ),
    "Excel, Unicode text": (
        "sheet.txt", lines("{}\t{}", "\r\n").encode("utf-16"), "list (a path, a tab, a text)",
    ),
    "Excel, Unicode text with a header": (
        "sheet.txt", ("Path\tLabel\r\n" + lines("{}\t{}", "\r\n")).encode("utf-16"), "TSV table",
    ),
    "Excel in Europe": ("sheet.csv", table("path,text", ";"), "CSV table with semicolons"),
    "blanks after commas": (
        "spaced.csv", "path, text\n" + lines("{}, {}").replace('"', ""), "CSV table",
    ),
}  # fmt: skip


@pytest.mark.parametrize("who", AS_WRITTEN)
def test_read_as_written(tmp_path: Path, who: str) -> None:
    name, content, dialect = AS_WRITTEN[who]
    manifest = read_manifest(written(tmp_path / name, content))
    assert manifest.columns["path"].to_pylist() == NAMES
    assert manifest.text_column is not None
    found = [text.strip() for text in manifest.columns[manifest.text_column].to_pylist()]
    assert found == [t.replace('"', "") if who.startswith("blanks") else t for t in TEXTS]
    assert f"{name}: 3 rows of a {dialect}" in manifest.notes[0]


@pytest.mark.parametrize(
    ("format_name", "name", "content"),
    [
        ("list", "labels.dat", lines("{}\t{}")),
        ("list", "noted.csv", "no-suffix JOINT\n"),
        ("icdar", "labels.dat", ICDAR),
        ("mapping", "labels.dat", json.dumps(MAPPING)),
        ("mmocr", "labels.dat", json.dumps(MMOCR)),
        ("table", "labels.dat", table("path,text")),
        ("table", "labels.json", json.dumps(OBJECTS)),
    ],
)
def test_a_dialect_is_forced(tmp_path: Path, format_name: Any, name: str, content: str) -> None:
    path = written(tmp_path / name, content)
    manifest = read_manifest(path, options=ManifestOptions(format=format_name))
    assert manifest.columns[manifest.text_column or ""][0].as_py() == "JOINT"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("gt.txt", "a.png\tx\n\nb.png\n", "line 3 is no PATH TEXT."),
        ("gt.txt", 'a.png, "x"\nb.png, x\n', 'line 2 is no PATH, "TEXT".'),
        ("gt.txt", 'a.png, x\nb.png, "x"\n', 'line 1 is no PATH, "TEXT".'),
        (
            "train.csv",
            'a.png,x\nb.png,"y,z"\n',
            "line 2: the text begins with a quotation mark, which is CSV's. Give the file a first "
            "line path,text, or save it with tabs.",
        ),
        (
            "train.csv",
            '"a.png","x"\n"b.png","y"\n',
            'line 1 begins with ", expected a path. A list has no quoting, and one path a line. '
            "If this is CSV, give it a first line path,text.",
        ),
        (
            "gt.txt",
            "a.png\tx\ty\nb.png\tx\tz\n",
            "3 columns without a header: which of them hold labels? Give it a first line such as "
            "path,y0,y1; or, if all after the first is one text, --format list.",
        ),
        (
            "Label.txt",
            'a.png\t[{"transcription": "x", "points": [[0, 0]]}]\n',
            "line 1 holds boxes, as labels for text detection do, expected the text of one image. "
            "Cut the words out first.",
        ),
        (
            "rec.txt",
            '["a.png", "b.png"]\tx\nc.png\tx\n',
            "line 1 begins with [, expected a path. A list has no quoting, and one path a line. "
            "If this is CSV, give it a first line path,text.",
        ),
        (
            "m.csv",
            "image,file,text\na.png,b.png,x\n",
            "image and file could each hold the paths; choose with --path-column NAME.",
        ),
        (
            "m.csv",
            "picture,text\na,x\n",
            "no column of paths: name it with --path-column, or call it path; the columns are "
            "picture, text. A file without a header needs one, such as path,text.",
        ),
        (
            "m.tsv",
            '"path"\t"text"\n"a.png"\t"x"\n',
            'the columns are named with quotation marks ("path", "text"): without commas between '
            "columns these are ordinary characters. Take them out, or save as CSV.",
        ),
        ("m.csv", "sep=;\npath;text\n", "line 1 is Excel's note of the separator. Take it out."),
        (
            "m.csv",
            "Datei;Wert\na;x\n",
            "no column of paths: name it with --path-column, or call it path; the columns are "
            "Datei, Wert. A file without a header needs one, such as path,text.",
        ),
        ("m.csv", "path, path\na,x\n", "the column 'path' occurs twice. Rename one of them."),
        (
            "m.csv",
            'path, text\na.png, "x"\n',
            "line 2: a blank before a quotation mark makes both part of 'text'. "
            "Take the blanks after the commas out.",
        ),
        (
            "m.json",
            '{"a.png": {"polygons": []}}',
            "the entry 'a.png': 'text' is an object, {\"polygons\": []}, expected text.",
        ),
        (
            "m.json",
            '{"data_list": [{"img_path": "a", "instances": [{"text": "x"}, {"text": "y"}]}]}',
            "entry 0 of data_list has 2 texts, expected one an image, as for text recognition. "
            "Cut the words out first.",
        ),
        (
            "m.json",
            '{"data_list": [{"img": "a"}]}',
            "entry 0 of data_list has no `img_path` and `instances`.",
        ),
        ("m.json", "[1, 2]", "entry 0 is not a JSON object."),
        ("m.json", '"x"', "expected one JSON object, from each path to its text."),
        (
            "m.json",
            "{",
            "not a valid JSON file: Expecting property name enclosed in double quotes: line 1 "
            "column 2 (char 1).",
        ),
        (
            "m.csv",
            "path,text\na,长\n".encode("utf-16-le"),
            "holds zero bytes, as UTF-16-LE without its mark does. "
            "Give --manifest-encoding utf-16-le, or save it as UTF-8.",
        ),
        (
            "m.csv",
            "path,text\na,长\n".encode("utf-16-be"),
            "holds zero bytes, as UTF-16-BE without its mark does. "
            "Give --manifest-encoding utf-16-be, or save it as UTF-8.",
        ),
        (
            "m.csv",
            "path,text\na,长\n".encode("utf-32-be"),
            "holds zero bytes, as UTF-32-BE without its mark does. "
            "Give --manifest-encoding utf-32-be, or save it as UTF-8.",
        ),
        (
            "m.csv",
            b"\xd0\xcf\x11\xe0" + bytes(99),
            "this is an old Excel workbook; save the sheet as CSV in UTF-8.",
        ),
    ],
)
def test_refusals(tmp_path: Path, name: str, content: str | bytes, message: str) -> None:
    assert refusal(written(tmp_path / name, content)) == message


@pytest.mark.parametrize(
    ("encoding", "text", "known_as"),
    [
        ("gb18030", "京大学", "GBK"),
        ("shift_jis", "東京ｱｲｳ", "Shift JIS"),
        ("big5", "臺北市", "Big5"),
        ("cp1252", "Ä25m6p", "Windows-1252"),
    ],
)
def test_other_encodings(tmp_path: Path, encoding: str, text: str, known_as: str) -> None:
    """How the text reads is shown; given, the encoding is right."""
    path = written(tmp_path / "m.csv", f"path,text\na.png,{text}\n".encode(encoding))
    for given in (None, "utf-8"):
        said = refusal(path, encoding=given)
        assert said.startswith("line 2 is not UTF-8 text. --manifest-")
        assert said.endswith("cp1251; or save the file as UTF-8.")
        assert f"--manifest-encoding {encoding} ({known_as}) reads 'a.png,{text}'" in said
    manifest = read_manifest(path, options=ManifestOptions(encoding=encoding))
    assert manifest.columns["text"].to_pylist() == [text]


def test_a_mark_is_no_part_of_the_first_name(tmp_path: Path) -> None:
    content = "\ufeffpath,text\na.png,长\n"
    for encoding in ("utf-8", "utf-16-le", "utf-16-be", "utf-32-le"):
        path = written(tmp_path / "m.csv", content.encode(encoding))
        for given in (encoding, None):
            manifest = read_manifest(path, options=ManifestOptions(encoding=given))
            assert list(manifest.columns) == ["path", "text"]
            assert manifest.columns["text"].to_pylist() == ["长"]


def test_an_encoding_that_is_none(tmp_path: Path) -> None:
    path = written(tmp_path / "m.csv", "path,text\na.png,xy\n")
    for name in ("klingon", "zip"):
        found = refusal(path, encoding=name)
        assert found.startswith(f"--manifest-encoding {name}: no such encoding;")
    assert "not text in utf-16" in refusal(path, encoding="utf-16")


def test_columns_are_named(tmp_path: Path) -> None:
    content = "picture,path,text,label\na.png,elsewhere,xy,z\n"
    path = written(tmp_path / "m.csv", content)
    chosen = ManifestOptions(path_column="picture", text_column="label")
    manifest = read_manifest(path, options=chosen)
    assert manifest.columns["path"].to_pylist() == ["a.png"]
    assert (manifest.text_column, manifest.label_columns) == ("label", ())
    both = read_manifest(path)
    assert (both.columns["path"].to_pylist(), both.text_column) == (["elsewhere"], None)


def test_two_columns_of_text_are_not_guessed(tmp_path: Path) -> None:
    manifest = draw_sources(tmp_path, 4)
    manifest.write_text("path,text,label\ni/0.png,ab,c\ni/1.png,ab,d\n")
    with pytest.raises(UsageError) as caught:
        convert(manifest, tmp_path / "out", split=ALL)
    assert str(caught.value) == (
        f"{manifest}: text and label could each hold the text; choose with --text-column NAME; "
        "the columns are path, text, label."
    )


@pytest.mark.parametrize("separator", ["\t", ",", ";", "|"])
@pytest.mark.parametrize("name", ["m.csv", "m.tsv", "m.txt"])
def test_separators_whatever_the_name_says(tmp_path: Path, name: str, separator: str) -> None:
    rows = [separator.join(row) + "\n" for row in (("a.png", "1,2" if separator != "," else "1"),)]
    for header in ([], [f"path{separator}text\n"]):
        manifest = read_manifest(written(tmp_path / name, "".join(header + rows)))
        assert manifest.columns["path"].to_pylist() == ["a.png"]
        assert manifest.columns["text"].to_pylist() == ["1,2" if separator != "," else "1"]


def test_a_text_with_commas_in_every_line(tmp_path: Path) -> None:
    """What is ambiguous is asked for, and the flag that the message names helps."""
    path = written(tmp_path / "m.txt", "a.png,1,000\nb.png,2,000\n")
    assert "if all after the first is one text, --format list" in refusal(path)
    manifest = read_manifest(path, options=ManifestOptions(format="list"))
    assert manifest.columns["text"].to_pylist() == ["1,000", "2,000"]


def test_nan_is_a_gap(tmp_path: Path) -> None:
    lines = '{"path": "a", "y0": 1, "y1": NaN}\n{"path": "b", "y0": NaN, "y1": Infinity}\n'
    manifest = read_manifest(written(tmp_path / "m.jsonl", lines))
    assert manifest.columns["y0"].to_pylist() == ["1", ""]
    assert manifest.columns["y1"].to_pylist() == ["", ""]
    path = str(tmp_path / "m.parquet")
    parquet.write_table(pa.table({"path": ["a", "b"], "y0": [1.5, float("nan")]}), path)
    assert read_manifest(path).columns["y0"].to_pylist() == ["1.5", ""]
    parquet.write_table(pa.table({"path": ["a"], "text": [[1.0]]}), path)
    assert "the labels in 'text' are list<element: double>" in refusal(path)


def test_a_key_that_comes_late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convert.plan.dialects.objects._ROWS_AT_ONCE", 2)
    rows = [{"path": str(i), "text": "x"} for i in range(5)]
    rows[1]["note"] = "early"
    rows[4]["late"] = "n"
    path = written(tmp_path / "m.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    manifest = read_manifest(path)
    assert manifest.columns["note"].to_pylist() == ["", "early", "", "", ""]
    assert manifest.columns["late"].to_pylist() == ["", "", "", "", "n"]
    assert manifest.columns["text"].to_pylist() == ["x"] * 5


def test_an_array_named_as_lines(tmp_path: Path) -> None:
    manifest = read_manifest(written(tmp_path / "m.jsonl", json.dumps(OBJECTS)))
    assert manifest.columns["path"].to_pylist() == NAMES


def test_another_encoding_for_text_that_is_utf8(tmp_path: Path) -> None:
    path = written(tmp_path / "m.csv", "path,text\na.png,é\n")
    assert read_manifest(path, options=ManifestOptions(encoding="latin-1")).notes[1] == (
        f"warning: {path} is UTF-8 text by its bytes; --manifest-encoding latin-1 reads them "
        "otherwise"
    )
    path = written(tmp_path / "m.csv", "path,text\na.png,é\n".encode("latin-1"))
    assert len(read_manifest(path, options=ManifestOptions(encoding="latin-1")).notes) == 1


def test_what_is_no_file(tmp_path: Path) -> None:
    """It is not waited for."""
    os.mkfifo(tmp_path / "m.csv")
    assert refusal(tmp_path / "m.csv") == "no regular file, which a manifest has to be."


def test_options_that_parquet_does_not_have(tmp_path: Path) -> None:
    path = str(tmp_path / "m.parquet")
    parquet.write_table(pa.table({"path": ["a"], "text": ["x"]}), path)
    for options in ({"format": "list"}, {"encoding": "gbk"}):
        assert refusal(path, **options) == "a Parquet file has neither --format nor an encoding."
    assert read_manifest(path, options=ManifestOptions(format="table")).num_rows == 1


def test_lists_are_a_label_an_output(tmp_path: Path) -> None:
    """In JSON Lines, in a JSON object and in Parquet alike."""
    labels = [["京", "A", "10"], ["沪", "B", "9"]]
    rows = [{"path": f"{i}.png", "text": label} for i, label in enumerate(labels)]
    written(tmp_path / "m.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    written(tmp_path / "m.json", json.dumps({row["path"]: row["text"] for row in rows}))
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "m.parquet")
    for name in ("m.jsonl", "m.json", "m.parquet"):
        manifest = read_manifest(str(tmp_path / name))
        assert manifest.columns["text"].to_pylist() == labels


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ('{"v": "1"}', "line 2: 'text' is an object, {}, expected text."),
        ('[["1"], "2"]', "line 2: 'text' is a list, {}, of other things than text."),
        ('["1", true]', "line 2: 'text' is a list, {}, of other things than text."),
        ('["1", null]', "line 2: 'text' is a list, {}, of other things than text."),
        ('["1", "2"]', "'text' is a list in some rows and text in others."),
    ],
)
def test_other_values_are_no_labels(tmp_path: Path, value: str, message: str) -> None:
    content = f'{{"path": "a", "text": "1"}}\n{{"path": "b", "text": {value}}}'
    assert refusal(written(tmp_path / "m.jsonl", content)) == message.replace("{}", value)


def test_a_gap_in_a_list_of_parquet(tmp_path: Path) -> None:
    path = str(tmp_path / "m.parquet")
    parquet.write_table(pa.table({"path": ["a", "b"], "text": [["x"], ["y", None]]}), path)
    assert refusal(path) == "row 1: a list in 'text' has an empty place (null)."


def test_objects_in_parquet(tmp_path: Path) -> None:
    rows = [{"image": {"bytes": b"x", "path": None}, "text": "a"}]
    path = str(tmp_path / "m.parquet")
    parquet.write_table(pa.Table.from_pylist(rows), path)
    assert refusal(path).endswith(
        "expected text. Images inside a table are not read: write them to files, and name their "
        "paths."
    )


def test_a_key_twice_is_two_rows_in_an_object(tmp_path: Path) -> None:
    """As a path twice is in a table: no row is lost."""
    path = written(tmp_path / "m.json", '{"a.png": "x", "b.png": "y", "a.png": "z"}')
    manifest = read_manifest(path)
    assert manifest.columns["path"].to_pylist() == ["a.png", "b.png", "a.png"]
    assert manifest.columns["text"].to_pylist() == ["x", "y", "z"]


def test_a_folder_with_one_label_file(tmp_path: Path) -> None:
    draw_sources(tmp_path, 3)
    (tmp_path / "README.txt").write_text("What these pictures are.\n")
    (tmp_path / "classes.txt").write_text("0\n1\n")
    (tmp_path / ".hidden.csv").write_text("path,y0\n")
    config = find_label_file(options_of(tmp_path))
    assert config.manifest == str(tmp_path / "m.csv")
    assert open_manifest(config).num_rows == 3
    (tmp_path / "labels.json").write_text('{"i/0.png": "x"}')
    with pytest.raises(UsageError) as caught:
        find_label_file(options_of(tmp_path))
    assert str(caught.value) == (
        f"{tmp_path}: has several label files, labels.json, m.csv. Name one."
    )
    with pytest.raises(UsageError) as caught:
        find_label_file(options_of(tmp_path / "i"))
    assert str(caught.value).startswith(f"{tmp_path}/i: no label file at the top of this folder.")
    (tmp_path / "above").mkdir()
    (tmp_path / "i").rename(tmp_path / "above/train")
    (tmp_path / "above/train/metadata.csv").write_text("file_name,text\n")
    with pytest.raises(UsageError) as caught:
        find_label_file(options_of(tmp_path / "above"))
    assert "this folder, but train/metadata.csv below it. Name the file" in str(caught.value)
