"""report.html, as a browser shows it."""

from __future__ import annotations

import base64
import errno
import io
import json
import math
import os
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from convert.metadata import DatasetInfo
from convert.storage import read_dataset
from train.census import count_classes
from train.config import TrainConfig
from train.errors import TryAgainError
from train.evaluate import evaluate_run
from train.evaluation import Evaluation
from train.folder import RunFolder
from train.loading import open_source
from train.report import write
from train.report.content import Content, Picture, Validation
from train.report.markup import Html, element
from train.report.numbers import compact, duration, interval, percent, size, ticks
from train.report.page import page
from train.report.pictures import data_uri
from train.report.results import NO_VALIDATION, OVERFIT
from train.report.write import BestEvaluation, write_report
from train.resume import resume_training

WIDTHS = (400, 760, 1200)
SECTIONS = [
    "results", "learning", "confidence", "mistakes", "misread", "random", "speed", "settings",
]  # fmt: skip
NAMES = ("<script>alert(1)</script>", '"><img src=x onerror=alert(2)>', "&amp;", " ", "")
HISTORY = {
    "epoch": 1.0, "step": 42.0, "learning_rate": 1e-3, "loss": 2.5, "character_accuracy": 0.5,
    "exact": 0.25, "images_per_second": 1234.5, "input_wait": 0.01, "seconds": 31.0,
    "validation_loss": 2.0, "validation_character_accuracy": 0.75, "validation_exact": 0.5,
}  # fmt: skip


def info_of(names=NAMES, num_outputs=4, shape=(32, 128, 3)) -> DatasetInfo:
    height, width, channels = shape
    return DatasetInfo(
        name="a",
        image={"height": height, "width": width, "channels": channels, "encoding": "raw"},
        outputs={f"<b>y{i}": "v" for i in range(num_outputs)},
        vocabularies={"v": names},
        splits={"train": (), "validation": ()},
        plan_id="", manifest_sha256="", options={},
    )  # fmt: skip


def content_of(info=None, *, epochs=3, history=HISTORY, records=20, shape=(32, 128, 3), **fields):
    """Returns the content of a report on random predictions."""
    info = info or info_of(shape=shape)
    rng = np.random.default_rng(0)
    classes, outputs = len(info.vocabularies["v"]), len(info.outputs)
    labels = rng.integers(0, classes, (records, outputs), np.int32)
    read = np.where(rng.random(labels.shape) < 0.8, labels, (labels + 1) % classes)
    evaluation = Evaluation(
        labels=labels, predictions=read.astype(np.int32), ranks=(labels != read).astype(np.int32),
        confidences=rng.uniform(0.3, 1, labels.shape).astype(np.float32),
        losses=(labels != read).mean(axis=1), blanks=[classes - 1] * outputs,
    )  # fmt: skip
    wrong = np.flatnonzero((labels != read).any(axis=1)).tolist()
    pictures = [
        Picture(pixels=rng.integers(0, 256, shape, np.uint8), row=7 * record, record=record)
        for record in range(records)
    ]
    given = {
        "path": "/tmp/runs/<i>7",
        "info": info,
        "options": {
            "dataset": "/tmp/<u>strips",
            "model": "resnet10",
            "epochs": 3,
            "label_smoothing": 0.1,
            "seed": 0,
        },
        "environment": {"python": "3.11", "packages": {"keras": "<3>"}},
        "history": [{**history, "epoch": float(epoch)} for epoch in range(1, epochs + 1)],
        "best": epochs,
        "bad_records": 2,
        "parameters": 123456,
        "model_bytes": 2_840_998,
        "class_counts": {"v": np.arange(classes) * 40},
        "validation": Validation(
            evaluation=evaluation,
            misread=[pictures[record] for record in wrong[:4]],
            random=pictures[:4],
        ),
    }
    return Content(**{**given, **fields})


def shown(browser, content, folder, **options):
    """Opens a report in the browser; returns its text."""
    path = folder / "report.html"
    path.write_text(page(content), encoding="utf-8")
    browser.open(path, **options)
    require_sound(browser)
    return browser.evaluate("document.body.innerText")


def require_sound(browser):
    """Nothing asked for, no error, nothing that is no number, as wide as the window at most."""
    browser.wait("[...document.images].every(image => image.complete && image.naturalWidth)")
    assert (browser.requests(), browser.errors()) == ([], [])
    assert browser.evaluate("document.scripts.length") == 0
    source = browser.evaluate("document.documentElement.outerHTML")
    assert not re.search(r"\b(nan|inf|None|NaN)\b", re.sub(r"data:[^\"]*", "", source))
    browser.evaluate("document.querySelector('details').open = true")
    for width in WIDTHS:
        browser.resize(width)
        assert browser.overflow() == 0


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
    cut = evaluation.selection().at_precision(0.99)
    assert tiles == [
        percent(evaluation.exact),
        percent(evaluation.character_accuracy),
        percent(evaluation.top5_accuracy),
        percent(cut.coverage if cut else 0),
        percent(evaluation.label_calibration().error),
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
    assert rows[:10] == [f"row {row:,}" for row in result.rows]


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
    for name in (*NAMES[:3], "<i>7", "/tmp/<u>strips", "<3>", "<b>y0"):
        assert name in text
    assert "blank" in text  # the class without a name
    assert "␣" in text
    assert browser.evaluate("document.querySelectorAll('u, i:not([class]) i, script').length") == 0


def test_half_a_character_is_no_reason_to_fail():
    content = content_of(path="/tmp/\udcff")
    assert "\udcff" not in page(content)


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


def test_nothing_misread(browser, tmp_path):
    content = content_of()
    right = replace(content.validation.evaluation, predictions=content.validation.evaluation.labels)
    validation = replace(content.validation, evaluation=right, misread=[])
    text = shown(browser, replace(content, validation=validation), tmp_path)
    assert "Every label was read right." in text
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
    for picture, marked in zip(content.validation.misread, found, strict=True):
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


@pytest.mark.parametrize("shape", [(32, 128, 3), (20, 30, 1), (16, 16, 4)])
def test_images_are_exact(shape):
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    head, content = data_uri(pixels).split(",")
    assert head == "data:image/png;base64"
    with Image.open(io.BytesIO(base64.b64decode(content))) as image:
        assert np.array_equal(np.asarray(image).reshape(shape), pixels)


def test_large_images_are_made_smaller():
    pixels = np.random.default_rng(0).integers(0, 256, (600, 2400, 3), np.uint8)
    with Image.open(io.BytesIO(base64.b64decode(data_uri(pixels).split(",")[1]))) as image:
        assert image.size == (256, 64)
    assert len(data_uri(pixels)) * 36 < 3 << 20  # noise: no image is larger


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


def test_a_run_killed_before_its_report_gets_one(whole_run, tmp_path):
    """Then the best weights read the validation split again: to the same numbers."""
    run = shutil.copytree(whole_run, tmp_path / "run")
    written = (run / "report.html").read_text(encoding="utf-8")
    os.unlink(run / "report.html")
    os.unlink(run / "class_counts.json")
    said = []
    resume_training(str(run), {}, said.append)
    assert said == [f"{run} is complete: 3 epochs are done"]
    assert (run / "class_counts.json").exists()
    again = (run / "report.html").read_text(encoding="utf-8")
    tiles = [re.findall(r"<dd.*?</dd>", page[: page.index("</dl>")]) for page in (written, again)]
    assert len(tiles[0]) == 10
    assert tiles[0] == tiles[1]


def evaluation_of(labels, predictions, loss):
    labels, predictions = np.array([labels]), np.array([predictions])
    return Evaluation(
        labels=labels, predictions=predictions, ranks=labels, confidences=labels,
        losses=np.array([loss]), blanks=[None, None],
    )  # fmt: skip


def test_the_best_evaluation_is_kept():
    first, better, equal = (
        evaluation_of([0, 1], read, loss)
        for read, loss in (([1, 1], 1.0), ([0, 1], 2.0), ([0, 1], 2.0))
    )
    best, row = BestEvaluation(), {
        "validation_exact": 1.0, "validation_character_accuracy": 1.0, "validation_loss": 2.0,
    }  # fmt: skip
    assert best.of(row) is None
    for evaluation in (first, better, equal, first):
        best.keep(evaluation)
    assert best.of(row) is better
    assert best.of({**row, "validation_loss": 1.5}) is None  # of the session before
    assert best.of({"loss": 1.0}) is None


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0.0%"), (1, "100.0%"), (0.9999, "99.99%"), (0.99999, "99.99%"), (0.00012, "0.01%"),
     (0.985815, "98.6%")],
)  # fmt: skip
def test_only_all_is_100_percent(share, text):
    assert percent(share) == text


def test_numbers_as_people_read_them():
    assert [duration(s) for s in (31.4, 90, 7200)] == ["31 s", "1.5 min", "2.0 h"]
    assert [size(n) for n in (12, 2_840_998, 999_600, 5e12)] == [
        "12 B",
        "2.84 MB",
        "1 MB",
        "5e+03 GB",
    ]
    assert [compact(n) for n in (0, 5e-4, 0.001, 72.06, 43210, 3e6)] == [
        "0", "5e-4", "0.001", "72.06", "43,210", "3 M",
    ]  # fmt: skip


def test_wilsons_interval():
    """8 of 10 as in the tables of Newcombe 1998, and both ends."""
    assert interval(0.8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert interval(1.0, 100)[0] == pytest.approx(0.9630, abs=1e-4)
    assert interval(1.0, 100)[1] == 1.0
    assert interval(0.0, 5)[0] == 0.0


@settings(deadline=None)
@given(st.floats(-1e6, 1e6), st.floats(0, 1e6), st.integers(2, 8), st.sampled_from([0.0, 1.0]))
def test_ticks_are_round_and_reach_both_ends(low, span, count, least):
    assume(span == 0 or span > max(1e-6 * abs(low), 1e-300))
    high = low + span
    found = ticks(low, high, count, least)
    steps = np.diff(found)
    assert 2 <= len(found) <= count + 3
    assert (
        found[0] <= low + 1e-6 * (span or 1) + 1e-9
        and found[-1] >= high - 1e-6 * (span or 1) - 1e-9
    )
    assert np.allclose(steps, steps[0], rtol=1e-4)
    mantissa = steps[0] / 10 ** math.floor(math.log10(steps[0] * 1.0001))
    assert min(abs(mantissa - nice) for nice in (1, 2, 5)) < 1e-3


@settings(deadline=None)
@given(st.text(), st.text())
def test_what_is_not_markup_is_escaped(text, value):
    made = element("p", text, title=value)
    assert isinstance(made, Html)
    assert made.count("<") == 2
    assert made.count('"') == 2
