"""A real TensorBoard in a real browser shows a run, histograms of activations included."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from conftest import ROOT

# TensorBoard's elements lie in shadow roots, which selectors do not enter.
ALL = """(() => {
    const all = root => [...root.querySelectorAll("*")].flatMap(
        element => [element, ...(element.shadowRoot ? all(element.shadowRoot) : [])]);
    const of = (root, name) => all(root).filter(element => element.localName === name);
    return %s
})()"""

# Tag -> how many curves are drawn, one for each step.
HISTOGRAMS = (
    ALL
    % """Object.fromEntries(of(document, "tf-histogram-loader").map(loader => [
    loader.tag,
    of(loader.shadowRoot, "path").filter(path => path.classList.contains("outline")).length]))"""
)
SCALARS = ALL % """of(document, "tf-scalar-card").map(card => card.tag)"""
IMAGES = (
    ALL
    % """Object.fromEntries(of(document, "tf-image-loader").map(loader => [
    loader.tag, of(loader.shadowRoot, "img").map(image => image.naturalWidth)[0] || 0]))"""
)


@pytest.fixture(scope="module")
def tensorboard(run):
    """The address of a TensorBoard that shows the run.

    Never one in .venv, where it would bring pillow along.
    """
    sys.path.insert(0, str(ROOT))
    from benchmarks.peers import FOLDER, TENSORBOARD, install

    if os.environ.get("CI") == "true" and TENSORBOARD.missing():
        FOLDER.mkdir(exist_ok=True)
        assert install(TENSORBOARD) == ""
    if TENSORBOARD.missing():
        pytest.skip("needs TensorBoard: .venv/bin/python benchmarks/peers.py tensorboard")
    words = ["--logdir", str(run[0]), "--host", "127.0.0.1", "--port", "0", "--load_fast", "false"]
    with subprocess.Popen(
        [str(TENSORBOARD.python), "-m", "tensorboard.main", *words],
        stderr=subprocess.PIPE,
        text=True,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
    ) as process:
        try:
            yield next(
                word for line in process.stderr for word in line.split() if "http://" in word
            )
        finally:
            process.terminate()
            process.stderr.read()  # until it has ended


def test_histograms_of_activations(tensorboard, browser):
    browser.open(f"{tensorboard}#histograms", width=1500, height=1400)
    browser.wait(f"{HISTOGRAMS}['weights_activations/bottleneck_dense'] === 2", 60)
    drawn = browser.evaluate(HISTOGRAMS)
    names = {tag.split("/")[1] for tag in drawn if tag.startswith("weights_activations/")}
    assert names == {"stem_conv", "stem_norm", "bottleneck_dense", "classifier"}


def test_curves(tensorboard, browser):
    browser.open(f"{tensorboard}#scalars", width=1500, height=1400)
    browser.wait(f"{SCALARS}.includes('train/loss')", 60)
    assert "speed/input_wait" in browser.evaluate(SCALARS)


def test_images(tensorboard, browser):
    browser.open(f"{tensorboard}#images", width=1500, height=1400)
    browser.wait(f"{IMAGES}['validation/worst_predictions'] > 0", 60)
    shown = browser.evaluate(IMAGES)
    labelled = [tag for tag in shown if tag.startswith("training_images/01 ")]
    assert [shown[tag] for tag in labelled] == [128]


def test_curves_come_first_and_histograms_stay_closed(tensorboard, browser):
    browser.open(f"{tensorboard}#timeseries", width=1500, height=1400)
    groups = """[...document.querySelectorAll("button.group-toolbar")].map(button => [
        button.querySelector(".group-title").innerText,
        button.querySelector("[data-mat-icon-name=expand_less_24px]") !== null])"""
    browser.wait(f"{groups}.filter(group => group[1]).length === 2", 60)
    shown = browser.evaluate(groups)
    assert [name for name, is_open in shown if is_open] == ["speed", "train"]
    closed = ["weights", "weights_activations", "weights_gradient_norms"]
    assert [name for name, _ in shown][-3:] == closed
