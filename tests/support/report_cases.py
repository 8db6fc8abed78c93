"""What tests of report.html share: reports on random predictions, and what a sound page is."""

from __future__ import annotations

import re

import numpy as np

from convert.dataset.info import DatasetInfo
from convert.images.options import ImageOptions
from train.evaluation.calibration import Calibration
from train.evaluation.predictions import Evaluation
from train.report.content import Content, Picture, Validation
from train.report.page import page

WIDTHS = (400, 760, 1200)
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
        image=ImageOptions(crop=None, size=(width, height), channels=channels),
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
        Picture(
            pixels=rng.integers(0, 256, shape, np.uint8),
            row=7 * record,
            path=f"strips/<b>{record}.png",
            record=record,
        )
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
        "started": 1_795_780_800.0,
        "ended": 1_795_783_500.0,
        "best": epochs,
        "bad_records": 2,
        "parameters": 123456,
        "model_bytes": 2_840_998,
        "class_counts": {"v": np.arange(classes) * 40},
        "validation": Validation(
            evaluation=evaluation,
            worst=[pictures[record] for record in wrong[:4]],
            random=pictures[:4],
        ),
        "calibration": Calibration(records=records, reason="<b>nothing"),
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
