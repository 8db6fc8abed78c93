"""Texts of strangers reach terminals, logs, CSV, JSON and HTML without doing anything there."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
import unicodedata
from types import SimpleNamespace

import pytest
from convert_cases import convert, draw_sources, write_manifest
from reading_cases import untrained_run

from convert.cli import main as convert_main
from convert.command.printed import csv_cell, json_line, without_controls
from convert.command.streams import say as convert_say
from train.cli import main as train_main
from train.cli.startup import say
from train.pages.render import ENVIRONMENT
from train.predict.result import Prediction
from train.predict.tables import CsvTable, JsonTable
from train.runs import log
from train.runs.folder import RunFolder
from train.runs.log import RunLog

EVIL = "\x1b]0;title\x07\r\n\x9b2J\x7f\u202e\u2066\u200f\u061c\u2028\u2029\x00\ud800"
SHOWN = r"\x1b]0;title\x07\r\n\x9b2J\x7f\u202e\u2066\u200f\u061c\u2028\u2029\x00\ud800"
HARMLESS = "粵 é\u0301 \u3000 क्\u200dष \U0001f469\u200d\U0001f52c \\x1b"
DATE, CLOCK = r"\d{4}-\d\d-\d\d", r"\d\d:\d\d:\d\d"


def test_controls_are_written_as_escapes_and_nothing_else_changes():
    assert without_controls(EVIL) == SHOWN
    assert without_controls(HARMLESS) == HARMLESS


def test_every_control_and_mark_of_direction_is_known():
    directions = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
    for character in map(chr, range(0x110000)):
        acts = unicodedata.category(character) in ("Cc", "Zl", "Zp", "Cs")
        if acts or unicodedata.bidirectional(character) in directions:
            assert without_controls(character) != character, ascii(character)


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
        ("+1+cmd|' /C calc'!A0", "'+1+cmd|' /C calc'!A0"),
        ("-2+3", "'-2+3"),
        ("@SUM(1)", "'@SUM(1)"),
        ("＝1+1", "'＝1+1"),
        ("'=1", "''=1"),  # removing one ' gives the text back
        ("\t=1", r"\t=1"),
        ("\r=1", r"\r=1"),
        ("-5", "-5"),  # numbers do nothing, and programs want them
        ("+49", "+49"),
        ("-.5e-3", "-.5e-3"),
        ("-", "-"),  # as does a single character, which is a class of many vocabularies
        ("=", "="),
        ("@", "@"),
        ("'tis", "'tis"),
        ("a=b", "a=b"),
        ("", ""),
    ],
)
def test_no_cell_is_a_formula(text, cell):
    assert csv_cell(text) == cell


def prediction(text: str) -> Prediction:
    outputs = (((text, 0.5), ("b", 0.25)),)
    return Prediction(
        path=text, text=text, confidence=0.5, outputs=outputs, truth=text, is_right=True
    )


@pytest.mark.parametrize("text", [EVIL, "=1+1", "-5"])
def test_predictions_in_csv(text):
    table = CsvTable(2, True)
    (row,) = csv.DictReader(io.StringIO(table.header() + table.lines([prediction(text)])))
    for column in ("path", "text", "truth"):
        assert row[column] == csv_cell(text)
    assert row["alternatives"] == csv_cell(f"{text}:0.5000|b:0.2500")


@pytest.mark.parametrize("text", [EVIL, "=1+1", HARMLESS])
def test_predictions_in_json_are_exact_and_do_nothing(text):
    line = JsonTable(["y0"], 2, True).lines([prediction(text)])
    assert without_controls(line[:-1]) == line[:-1]
    content = json.loads(line)
    assert content["path"] == content["text"] == content["truth"] == text
    assert content["characters"][0]["top"][0]["class"] == text


def test_json_lines_keep_what_does_nothing():
    assert json_line({"a": HARMLESS}) == json.dumps({"a": HARMLESS}, ensure_ascii=False)


def test_lines_of_train_and_its_log_have_no_controls(tmp_path, capsys):
    RunLog(RunFolder(str(tmp_path)), say)(f"backend {EVIL}")
    log = (tmp_path / "log.txt").read_text(encoding="utf-8")
    assert re.fullmatch(rf"{DATE} {CLOCK} {re.escape(f'backend {SHOWN}')}\n", log)
    said = capsys.readouterr().err
    assert re.fullmatch(rf"{CLOCK} {re.escape(f'train: backend {SHOWN}')}\n", said)


def test_reports_have_no_controls():
    made = ENVIRONMENT.from_string('<p title="{{ t }}">{{ t }}</p>').render(t=EVIL)
    assert made == f'<p title="{SHOWN}">{SHOWN}</p>'


@pytest.fixture(scope="module")
def evil_dataset(tmp_path_factory):
    """A dataset whose classes and paths act on a terminal."""
    folder = tmp_path_factory.mktemp("evil")
    draw_sources(folder, 16)
    rows = [[f"i/{row}.png", ("\x1b]0;t\x07", "b\u202ec")[row % 2]] for row in range(16)]
    rows += [["i/\x1b[2J.png", "b\u202ec"]]
    write_manifest(folder / "m.csv", ["path", "y0"], rows)
    shares = (("train", 0.5), ("validation", 0.5))
    convert(folder / "m.csv", folder / "ds", split=shares, max_bad_fraction=1, crop=None)
    return folder / "ds"


def printed(capfd, main, *words) -> str:
    """Returns what a command prints; nothing of it acts."""
    with pytest.raises(SystemExit):
        main([str(word) for word in words])
    out, err = capfd.readouterr()
    for text in (out, err):
        assert without_controls(text.replace("\n", "")) == text.replace("\n", "")
    return out + err


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["show", "ds", "--sheets", "s\x1b[2J"], r"s\x1b[2J"),
        (["show", "ds"], r"\x1b]0;t\x07"),
        (["show", "ds", "--class", "\x1b]1;t\x07"], r"\x1b]1;t\x07"),
        (["verify", "ds", "--manifest", "m\x1b.csv"], r"m\x1b.csv"),
        (["m.csv", "new", "--size", "12", "8", "--workers", "1"], r"\x1b]0;t\x07"),
        (["m.csv", "new", "--size", "12", "8", "--root", "\x1b[2J"], r"\x1b[2J"),
    ],
)
def test_what_convert_prints(words, shown, evil_dataset, capfd, monkeypatch):
    monkeypatch.chdir(evil_dataset.parent)
    assert shown in printed(capfd, convert_main, *words)


def test_what_evaluate_prints(evil_dataset, tmp_path, capfd):
    run = untrained_run(tmp_path / "run", evil_dataset)
    assert r"\x1b]0;t\x07" in printed(capfd, train_main, "evaluate", run.path)


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(("program", "say"), [("train", say), ("convert", convert_say)])
def test_lines_begin_with_the_time_but_on_a_terminal(program, say, monkeypatch):
    for stream, time in ((io.StringIO(), f"{CLOCK} "), (Terminal(), "")):
        monkeypatch.setattr(sys, "stderr", stream)
        say("line")
        assert re.fullmatch(f"{time}{program}: line\n", stream.getvalue())


def test_a_session_and_a_day_begin_with_the_date_in_the_log(tmp_path, monkeypatch):
    moments = iter(["2026-11-27 23:59:59", "2026-11-27 23:59:59", "2026-11-28 00:00:00",
                    "2026-11-28 00:00:01"])  # fmt: skip
    monkeypatch.setattr(log, "time", SimpleNamespace(strftime=lambda form: next(moments)))
    for lines in (("one", "two", "three"), ("four",)):
        session = log.RunLog(RunFolder(str(tmp_path)), lambda line: None)
        for line in lines:
            session(line)
    assert (tmp_path / "log.txt").read_text(encoding="utf-8").splitlines() == [
        "2026-11-27 23:59:59 one", "23:59:59 two", "2026-11-28 00:00:00 three",
        "2026-11-28 00:00:01 four",
    ]  # fmt: skip
