"""audit.html in a browser: looked at, decided on by mouse and keys, downloaded and applied."""

from __future__ import annotations

import csv
import io
import re

import numpy as np
import pytest
from report_cases import NAMES, info_of

from convert.plan.corrections_file import read_corrections
from train.audit.findings import Findings
from train.audit.judgement import Judgement
from train.audit.page import page
from train.audit.table import table
from train.audit.twin_images import Twins

TABLE = "window.saved"  # what the page would have downloaded


class Reader:
    """Records without a dataset."""

    def __init__(self, shape=(32, 128, 3)):
        self._shape = shape

    def gather(self, records):
        rng = np.random.default_rng(int(records[0]))
        return rng.integers(0, 256, (len(records), *self._shape), np.uint8), None

    def sources(self, records):
        return [f"<b>i/{record}.png" if record % 2 else "" for record in records.tolist()]


class Source:
    def __init__(self, **options):
        self.reader = Reader(**options)


def findings_of(names=NAMES, records=12, twins=(), **more) -> Findings:
    rng = np.random.default_rng(0)
    info = info_of(names)
    labels = rng.integers(0, len(names), (records, 4), np.int32)
    readings = labels.copy()
    readings[: records // 2, 1] = (labels[: records // 2, 1] + 1) % len(names)
    confidences = rng.uniform(0.5, 1, labels.shape)
    judgement = Judgement(
        split=np.zeros(records, int), record=np.arange(records), row=10 * np.arange(records),
        labels=labels, readings=readings, confidences=confidences,
        beliefs=np.where(labels == readings, confidences, 0.01), fold=np.zeros(records, int),
        power=np.ones(records),
    )  # fmt: skip
    given = {
        "run": "/tmp/runs/<i>7", "info": info, "sources": {"train": Source()}, "folds": 0,
        "judgement": judgement, "is_seen": np.ones(records, bool), "twins": list(twins),
    }  # fmt: skip
    return Findings(**{**given, **more})


def opened(browser, found, folder, most=200, **options):
    path = folder / "audit.html"
    path.write_text(page(found, most), encoding="utf-8")
    browser.open(path, **options)
    browser.wait("[...document.images].every(image => image.complete && image.naturalWidth)")
    return path


def save(browser):
    """Presses the button; returns the rows of the file that is handed out."""
    browser.evaluate(
        "(URL.createObjectURL = blob => { blob.text().then(t => { window.saved = t; });"
        " return 'data:text/csv,'; }, delete window.saved, 0)"
    )
    browser.click("#download")
    browser.wait(f"{TABLE} !== undefined")
    return list(csv.DictReader(io.StringIO(browser.evaluate(TABLE))))


def text(browser, selector):
    return browser.evaluate(f"document.querySelector({selector!r}).innerText")


@pytest.mark.parametrize("width", [1280, 390])
def test_it_fits_and_asks_for_nothing(browser, tmp_path, width):
    opened(browser, findings_of(twins=[Twins(0, 7, is_equal=True)]), tmp_path, width=width)
    assert (browser.requests(), browser.errors(), browser.overflow()) == ([], [], 0)
    sections = browser.evaluate("[...document.querySelectorAll('main section')].map(s => s.id)")
    assert sections == ["doubtful", "twins", "uncertain"]
    assert browser.evaluate("document.querySelectorAll('#doubtful article').length") == 6
    assert browser.evaluate("document.querySelectorAll('#twins article').length") == 2
    marked = browser.evaluate("document.querySelectorAll('#doubtful article:first-child mark')")
    assert len(marked) == 2  # in the label and in the reading
    assert browser.evaluate("document.querySelector('#doubtful img').clientWidth") >= 300


def test_names_are_text_whatever_they_say(browser, tmp_path):
    opened(browser, findings_of(), tmp_path)
    shown = browser.evaluate("document.body.innerText")
    for name in (*NAMES[:2], "<i>7", "<b>i/1.png"):
        assert name in shown
    assert browser.evaluate("document.querySelectorAll('main b:not(.source b), u').length") == 0
    assert browser.evaluate("document.scripts.length") == 1


def test_decisions_by_mouse_and_keys(browser, tmp_path):
    path = opened(browser, findings_of("abcde"), tmp_path)
    browser.evaluate("localStorage.clear()")
    browser.open(path)
    assert text(browser, "#count") == "Nothing is decided yet."
    browser.click("article [data-decision=label]")
    browser.evaluate("document.querySelectorAll('article')[1].focus()")
    browser.command("Input.dispatchKeyEvent", type="keyDown", key="2", text="2")
    focused = "[...document.querySelectorAll('article')].indexOf(document.activeElement)"
    assert browser.evaluate(focused) == 2  # the next one
    browser.command("Input.dispatchKeyEvent", type="keyDown", key="3", text="3")
    assert browser.evaluate("document.activeElement.tagName") == "INPUT"
    assert text(browser, "#count").endswith("1 neither (1 without a text: left out)")
    browser.type("article:nth-child(3) input", '=a,"b')
    assert text(browser, "#count") == "3 decided: 1 labels right, 1 readings right, 1 neither"
    cards = browser.evaluate(
        "[...document.querySelectorAll('article')].slice(0, 3).map(a => ({...a.dataset}))"
    )
    rows = save(browser)
    assert [(row["decision"], row["text"]) for row in rows] == [
        ("label", cards[0]["label"]),
        ("suggestion", cards[1]["suggestion"]),
        ("neither", "'=a,\"b"),
    ]
    assert [row["path"] for row in rows] == [card["path"] for card in cards]
    assert [row["row"] for row in rows] == [card["row"] for card in cards]
    assert [row["label"] for row in rows] == [card["label"] for card in cards]
    (tmp_path / "corrections.csv").write_text(browser.evaluate(TABLE), encoding="utf-8")
    corrections = read_corrections(str(tmp_path / "corrections.csv"))  # as convert reads them
    assert corrections.confirmed == 1
    assert [(one.row, one.label, one.text) for one in corrections.entries] == [
        (10, cards[1]["label"], cards[1]["suggestion"]),
        (20, cards[2]["label"], '=a,"b'),
    ]
    browser.open(path)  # they are kept
    assert text(browser, "#count") == "3 decided: 1 labels right, 1 readings right, 1 neither"
    assert save(browser) == rows
    browser.evaluate("document.querySelectorAll('article')[0].focus()")
    browser.command("Input.dispatchKeyEvent", type="keyDown", key="0", text="0")
    assert text(browser, "#count").startswith("2 decided: 0 labels right")


def test_a_record_that_is_shown_twice_is_decided_once(browser, tmp_path):
    found = findings_of("abcde", twins=[Twins(0, 7, is_equal=False)])
    path = opened(browser, found, tmp_path)
    browser.evaluate("localStorage.clear()")
    browser.open(path)
    browser.click("#twins [data-decision=suggestion]")
    pressed = "[...document.querySelectorAll('[aria-pressed=true]')].map(b => b.dataset.decision)"
    assert browser.evaluate(pressed) == ["suggestion", "suggestion"]
    assert len(save(browser)) == 1


def test_where_nothing_is_kept_it_says_so(browser, tmp_path):
    html = page(findings_of("abcde"), 200)
    assert html.count("This browser does not keep them") == 1
    path = opened(browser, findings_of("abcde"), tmp_path)
    assert text(browser, "#kept") == "This browser keeps them when you close the page."
    browser.evaluate("(Storage.prototype.setItem = () => { throw new Error('full'); }, 0)")
    browser.click("article [data-decision=label]")
    assert text(browser, "#kept").startswith("This browser does not keep them")
    browser.open(path)


def test_other_labels_forget_what_was_decided(browser, tmp_path):
    path = opened(browser, findings_of("abcde"), tmp_path)
    browser.evaluate("localStorage.clear()")
    browser.open(path)
    browser.click("article [data-decision=label]")
    key = browser.evaluate("Object.keys(localStorage)[0]")
    for kept in ('{"0": {"decision": "label", "label": "zzz"}}', "[1", "null", '{"0": null}'):
        browser.evaluate(f"localStorage.setItem({key!r}, {kept!r})")
        browser.open(path)
        assert text(browser, "#count") == "Nothing is decided yet."
        assert browser.errors() == []


def test_how_many_are_shown():
    text = page(findings_of(records=40), 8)
    assert "These are the first 8 of 20; --pictures shows more, and audit.csv has all." in text
    assert len(re.findall("<article", text)) == 8 + 2


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({}, "The run was trained on 12 of these records"),
        ({"is_seen": np.zeros(12, bool)}, "The run was trained on none of them."),
        ({"is_seen": None}, "Which of these the run was trained on is not known."),
        ({"folds": 3}, "was judged by one of 3 runs that was not trained on it"),
    ],
)
def test_it_says_what_was_seen(more, told):
    assert told in page(findings_of(**more), 200)


def test_only_its_own_script_runs():
    text = page(findings_of(), 200)
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)
    assert re.fullmatch(
        r"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-\S{44}'",
        policy.replace("&#39;", "'"),
    )


def test_no_cell_of_the_table_is_a_formula():
    lines = table(findings_of(("=a", "b"))).splitlines()
    labels = {line.split(",")[4] for line in lines[1:]}
    assert labels
    assert all(label.startswith(("'=a", "b")) for label in labels)
