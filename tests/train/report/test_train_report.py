"""report.html, as a browser shows it."""

from __future__ import annotations

import errno
import json
import math
import os
import re
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from html import escape

import numpy as np
import pytest
from report_cases import HISTORY, NAMES, content_of, info_of, require_sound, shown

from convert.dataset.read import read_dataset
from train.config import TrainConfig
from train.errors import TryAgainError
from train.evaluation.calibration_file import read_calibration
from train.evaluation.confusion import confusion_matrix
from train.evaluation.evaluate_run import evaluate_run
from train.evaluation.predictions import worst_records
from train.input.open_source import open_source
from train.pages.numbers import percent
from train.records.count_classes import count_classes
from train.report import write
from train.report.content import read_validation
from train.report.page import page
from train.report.write import write_report
from train.runs.folder import RunFolder
from train.training.resuming.resume import resume_training

NO_VALIDATION = "This run had no validation split, so nothing here says how well it reads images"
OVERFIT = "With --overfit the records to validate on are those it was trained on"
SECTIONS = [
    "results", "learning", "confidence", "mistakes", "misread", "random", "speed", "settings",
]  # fmt: skip


def test_the_report_of_a_run(run, browser):
    browser.open(run[0] / "report.html")
    require_sound(browser)
    sections = browser.evaluate("[...document.querySelectorAll('main section')].map(s => s.id)")
    assert sections == SECTIONS
    links = browser.evaluate("[...document.querySelectorAll('nav a')].map(a => a.hash.slice(1))")
    assert links == SECTIONS
    assert browser.evaluate("document.querySelectorAll('h1').length") == 1
    assert browser.evaluate("document.images.length") > 18
    assert browser.evaluate("[...document.images].every(image => image.alt)")
    assert browser.evaluate("[...document.querySelectorAll('svg')].every(s => s.ariaLabel)")
    assert browser.evaluate("document.querySelectorAll('svg').length") == 9


def test_its_numbers_are_those_of_evaluate(run, browser):
    folder = RunFolder.open(str(run[0]))
    result = evaluate_run(folder, split="validation")
    evaluation = result.evaluation
    browser.open(run[0] / "report.html")
    tiles = browser.evaluate(
        "[...document.querySelectorAll('.tiles .value')].map(t => t.innerText)"
    )
    cut = evaluation.evidence().acceptance(0.99)
    assert tiles == [
        percent(evaluation.exact),
        percent(evaluation.character_accuracy),
        percent(evaluation.top5_accuracy),
        "–" if isinstance(cut, str) else percent(cut.coverage),
        percent(evaluation.label_reliability().error),
    ]
    outputs = browser.evaluate(
        "[...document.querySelector('#mistakes tbody').rows].map(row => row.innerText.split('\\t'))"
    )
    assert [(row[0], row[-2]) for row in outputs] == [
        (name, percent(share))
        for name, share in zip(
            folder.dataset_info().outputs, evaluation.output_accuracies, strict=True
        )
    ]
    rows = browser.evaluate(
        "[...document.querySelectorAll('#misread small')].map(s => s.innerText)"
    )
    named = zip(result.rows, result.paths, strict=True)
    assert rows[:10] == [f"row {row:,} · {path}" for row, path in named]


def test_pictures_where_nothing_is_misread_are_the_least_certain(run, small_dataset):
    source = open_source(str(small_dataset), "validation", 30)
    evaluation = evaluate_run(RunFolder.open(str(run[0])), split="validation").evaluation
    records = [one.record for one in read_validation(source, evaluation, 0).worst]
    assert records == worst_records(evaluation, 18) != []
    right = replace(evaluation, predictions=evaluation.labels)
    records = [one.record for one in read_validation(source, right, 0).worst]
    assert records == np.argsort(evaluation.label_confidences, kind="stable")[:18].tolist()


def test_what_evaluate_knows_of_rare_classes_the_run_has_counted(run, small_dataset):
    folder = RunFolder.open(str(run[0]))
    counts = json.loads((run[0] / "class_counts.json").read_text(encoding="utf-8"))
    reader = open_source(str(small_dataset), "train", 1).reader
    expected = count_classes(reader, read_dataset(str(small_dataset)))
    assert counts == {name: numbers.tolist() for name, numbers in expected.items()}
    groups = evaluate_run(folder).rarity
    assert sum(group.characters for group in groups) == 30 * 4


def test_options_that_are_not_the_default_are_marked(run, browser):
    browser.open(run[0] / "report.html")
    marked = browser.evaluate(
        "[...document.querySelectorAll('.changed')].map(e => [...e.children].map(c => c.innerText))"
    )
    usual = TrainConfig(dataset="strips")
    assert ["epochs", "2", f"default {usual.epochs}"] in marked
    assert ["batch-size", "16", f"default {usual.batch_size}"] in marked
    assert not [
        row for row in marked if row[0] in ("window", "head", "precision", "run", "dataset", "seed")
    ]


def test_a_report_is_no_larger_than_a_picture(run):
    assert (run[0] / "report.html").stat().st_size < 1 << 20


def test_names_are_text_whatever_they_say(browser, tmp_path):
    text = shown(browser, content_of(), tmp_path)
    for name in (*NAMES[:3], "<i>7", "/tmp/<u>strips", "<3>", "<b>y0", "strips/<b>"):
        assert name in text
    assert "blank" in text  # the class without a name
    assert "␣" in text
    assert browser.evaluate("document.querySelectorAll('u, i:not([class]) i, script').length") == 0


def test_no_name_is_markup():
    """What a browser is not needed for: each `<` of a name is escaped wherever it stands."""
    source, names = page(content_of()), ("<i>7", "/tmp/<u>strips", "<3>", "<b>y0", "strips/<b>")
    assert [name for name in names if name in source] == []
    assert [name for name in names if escape(name) not in source] == []


def test_half_a_character_is_no_reason_to_fail():
    content = content_of(path="/tmp/\udcff")
    assert "\udcff" not in page(content)


def test_nothing_may_be_fetched():
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    assert f'<meta http-equiv="Content-Security-Policy" content="{policy}"/>' in page(content_of())


def test_without_validation_it_says_so(browser, tmp_path):
    history = {name: value for name, value in HISTORY.items() if "validation" not in name}
    content = content_of(history=history, validation=None)
    text = shown(browser, content, tmp_path)
    assert NO_VALIDATION in text
    sections = browser.evaluate("[...document.querySelectorAll('main section')].map(s => s.id)")
    assert sections == ["results", "learning", "speed", "settings"]
    assert "validation" not in browser.evaluate("document.querySelector('#learning').innerText")


@pytest.mark.parametrize(
    "case",
    [
        {"epochs": 1},
        {"epochs": 1000},
        {"history": {**HISTORY, "raw_validation_exact": 0.4, "ema_loss": math.nan}},
        {"history": {**HISTORY, "loss": 0.0, "validation_loss": 0.0, "images_per_second": 3e6}},
        {"shape": (300, 700, 3)},
        {"shape": (20, 20, 1)},
        {"records": 1},
        {"info": info_of(tuple(f"a rather long name, number {i}" for i in range(9)), 9)},
        {"info": info_of(("x" * 200, "y" * 200), 2)},
        {"path": "/tmp/" + "long" * 50, "options": {"manifest": "m" * 300, "model": "x"}},
        {"best": 1},
    ],
    ids=str,
)  # fmt: skip
def test_every_run_fits_the_page(browser, tmp_path, case):
    shown(browser, content_of(**case), tmp_path)


def test_overfitting_is_told(browser, tmp_path):
    content = content_of()
    assert OVERFIT not in shown(browser, content, tmp_path)
    content = replace(content, options={**content.options, "overfit": 8})
    assert OVERFIT in shown(browser, content, tmp_path)


def test_columns_of_other_weights_are_lines_of_their_own(browser, tmp_path):
    shown(browser, content_of(history={**HISTORY, "raw_validation_exact": 0.4}), tmp_path)
    names = browser.evaluate(
        "[...document.querySelectorAll('#learning figure:first-child .legend span')]"
        ".map(span => span.innerText)"
    )
    assert names == ["validation50.0%", "training25.0%", "raw validation40.0%"]
    assert browser.evaluate("document.querySelectorAll('#learning polyline.third').length") == 1


def test_it_says_when_and_how_long(run, browser, tmp_path):
    text = shown(browser, content_of(), tmp_path)
    assert "training: 1.6 min, from 2026-11-27 12:00 UTC to 2026-11-27 12:45 UTC." in text
    assert "1.6 min, ended 2026-11-27 12:45 UTC." in page(content_of(started=None))
    text = (run[0] / "report.html").read_text(encoding="utf-8")
    (times,) = re.findall(r"(\d{4}-\d\d-\d\d \d\d:\d\d) UTC to ([-\d]+ [:\d]+) UTC\. The", text)
    end = datetime.fromtimestamp((run[0] / "history.csv").stat().st_mtime, UTC)
    assert "2026" <= times[0] <= times[1] == f"{end:%Y-%m-%d %H:%M}"


def test_numbers_of_validation_come_first(browser, tmp_path):
    shown(browser, content_of(history={**HISTORY, "raw_validation_exact": 0.4}), tmp_path)
    table = "document.querySelector('#learning details table')"
    head = browser.evaluate(f"[...{table}.tHead.rows[0].cells].map(cell => cell.innerText)")
    assert head == [
        "epoch", "step", "validation loss", "validation character accuracy", "validation exact",
        "learning rate", "loss", "character accuracy", "exact", "images per second", "input wait",
        "seconds", "raw validation exact",
    ]  # fmt: skip
    row = browser.evaluate(f"[...{table}.tBodies[0].rows[0].cells].map(cell => cell.innerText)")
    assert row[1:7] == ["42", "2.0000", "75.0%", "50.0%", "0.001", "2.5000"]


@pytest.mark.parametrize(("classes", "has_top5"), [(10, False), (11, True)])
def test_the_first_five_of_ten_classes_say_nothing(browser, tmp_path, classes, has_top5):
    text = shown(browser, content_of(info_of(tuple("abcdefghijk"[:classes]))), tmp_path)
    assert ("Top-5" in text, "in first 5" in text) == (has_top5, has_top5)


def test_why_validation_is_above_training(browser, tmp_path):
    averaged = {**content_of().options, "ema": 0.999}
    reason = "Validation is above training: it uses the average of the weights over many steps"
    assert reason in shown(browser, content_of(options=averaged), tmp_path)
    below = {**HISTORY, "exact": 0.6, "character_accuracy": 0.8}
    alone = {name: value for name, value in HISTORY.items() if "validation" not in name}
    for case in (
        {"options": {**averaged, "ema": 0}},
        {"options": averaged, "history": below},
        {"options": averaged, "history": alone, "validation": None},
    ):
        assert reason not in page(content_of(**case))


@pytest.mark.parametrize("names", [("a", "b", "c", "d", ""), ("x" * 200, "y" * 200)])
def test_a_confusion_matrix_for_the_eye(browser, tmp_path, names):
    content = content_of(info_of(names))
    shown(browser, content, tmp_path)
    cells = browser.evaluate(
        "[...document.querySelectorAll('.matrix tbody tr')].map(row => "
        "[...row.cells].slice(1).map(cell => Number(cell.innerText)))"
    )
    matrix = confusion_matrix(content.validation.evaluation, content.info)
    assert cells == matrix.counts.tolist()
    assert {size for row in cells for size in [len(row)]} == {len(names)}
    heads = browser.evaluate(
        "[...document.querySelectorAll('.matrix tbody th')].map(cell => cell.innerText)"
    )
    assert heads == [name or "blank" for name in matrix.names]
    title = browser.evaluate("document.querySelector('.matrix .right').title")
    share = f"{matrix.counts[0, 0]} times, {percent(matrix.shares[0, 0])}"
    assert title == f"{heads[0]} read as {heads[0]}: {share}"
    ends = browser.evaluate(
        "[...document.querySelectorAll('.matrix thead th > *')].map(head => "
        "head.getBoundingClientRect().bottom - "
        "document.querySelector('.matrix tbody').getBoundingClientRect().top)"
    )
    assert max(ends) < 2  # no name hides a number


def test_nothing_misread(browser, tmp_path):
    content = content_of()
    right = replace(content.validation.evaluation, predictions=content.validation.evaluation.labels)
    validation = replace(content.validation, evaluation=right)
    text = shown(browser, replace(content, validation=validation), tmp_path)
    assert "Every label was read right; these have the lowest confidence." in text
    assert "Misread images" not in text
    assert text.count("The least certain images") == 2  # in the list of sections too
    assert browser.evaluate("document.querySelectorAll('#misread figure.right').length") > 0
    assert browser.evaluate("document.querySelectorAll('.matrix').length") == 0
    assert "Every character was read right." in text


def test_wrong_characters_are_marked(browser, tmp_path):
    content = content_of(info_of(("a", "b", "c", "d", "")))
    shown(browser, content, tmp_path)
    found = browser.evaluate(
        "[...document.querySelectorAll('#misread figure')].map(f => "
        "[...f.querySelectorAll('mark')].map(m => m.innerText))"
    )
    evaluation = content.validation.evaluation
    names = ["a", "b", "c", "d", "blank"]
    for picture, marked in zip(content.validation.worst, found, strict=True):
        pairs = zip(
            evaluation.labels[picture.record], evaluation.predictions[picture.record], strict=True
        )
        assert marked == [names[read] for label, read in pairs if label != read]


def test_dark_and_paper(browser, tmp_path):
    def ground():
        return browser.evaluate("getComputedStyle(document.body).backgroundColor")

    shown(browser, content_of(), tmp_path)
    assert ground() == "rgb(252, 252, 251)"
    shown(browser, content_of(), tmp_path, dark=True)
    assert ground() == "rgb(19, 20, 22)"
    shown(browser, content_of(), tmp_path, width=760, media="print", dark=True)
    assert ground() == "rgb(255, 255, 255)"
    assert browser.evaluate("getComputedStyle(document.querySelector('nav')).display") == "none"


def test_a_report_that_cannot_be_written_is_one_line(run, small_dataset, tmp_path, monkeypatch):
    class Network:
        trainable_variables = ()

    def fail(path, text):
        raise OSError(errno.ENOSPC, "No space left on device")

    folder = RunFolder.open(str(run[0]))
    monkeypatch.setattr(write, "write_class_counts", lambda *_: None)
    monkeypatch.setattr(write, "write_file", fail)
    reader = open_source(str(small_dataset), "train", 1).reader
    with pytest.raises(TryAgainError) as caught:
        write_report(folder, Network(), {"epoch": 2}, reader, None)
    assert str(caught.value).startswith(f"{run[0]}/report.html: cannot be written: No space left")


@pytest.mark.parametrize("lacks", ["its report", "its calibration"])
def test_a_run_that_lacks_what_is_written_last_gets_it(lacks, whole_run, tmp_path):
    """Then the best weights read the validation split again: to the same numbers."""
    run = shutil.copytree(whole_run, tmp_path / "run")
    written = (run / "report.html").read_text(encoding="utf-8")
    if lacks == "its report":  # it was killed before
        os.unlink(run / "report.html")
    else:  # it is of an older version
        shutil.copyfile(run / "last.keras", run / "best.keras")
        none = f"nothing was fitted yet; `train resume {run}` does it"
        assert read_calibration(RunFolder.open(str(run))).reason == none
    os.unlink(run / "class_counts.json")
    said = []
    resume_training(str(run), {}, said.append)
    fitted = read_calibration(RunFolder.open(str(whole_run)))
    assert said == [f"calibration: {fitted}", f"{run} is complete: 3 epochs are done"]
    assert read_calibration(RunFolder.open(str(run))) == fitted
    resume_training(str(run), {}, said.append)
    assert said[2:] == said[1:2]  # nothing is left to do
    assert (run / "class_counts.json").exists()
    again = (run / "report.html").read_text(encoding="utf-8")
    tiles = [re.findall(r"<dd.*?</dd>", page[: page.index("</dl>")]) for page in (written, again)]
    assert len(tiles[0]) == 10
    assert tiles[0] == tiles[1]
