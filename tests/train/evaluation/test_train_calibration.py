"""Calibration: what it does to probabilities, what is fitted, and what a file of it may say."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
from keras import ops

from train.evaluation.calibration import Calibration, Scale, calibrated, parse_calibration
from train.evaluation.evaluate import evaluate_source, read_logits
from train.evaluation.evidence import THRESHOLDS, Evidence
from train.evaluation.fit_calibration import calibrate_run, fit_calibration
from train.runs.folder import RunFolder


class Oracle:
    """A model whose images are the numbers of logits, and a source of these."""

    def __init__(self, logits, labels, batch_size=256):
        self._logits, self._labels = np.float32(logits), np.int32(labels)
        self.batch_size = batch_size
        self.num_steps = -(-len(labels) // batch_size)
        self.output_names = [f"y{i}" for i in range(labels.shape[1])]
        self.order = SimpleNamespace(num_records=len(labels))

    def batch(self, epoch, step):
        records = np.arange(len(self._labels))[step * self.batch_size :][: self.batch_size]
        return records, *self._labels[records].T

    def predict_on_batch(self, images):
        return {name: self._logits[images, i] for i, name in enumerate(self.output_names)}


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def drawn(seed, records, temperatures, classes=10):
    """Returns logits that are right about themselves at these temperatures, and labels."""
    rng = np.random.default_rng(seed)
    shape = records, len(temperatures), classes
    true = (
        rng.normal(0, 2, shape)
        + 5 * rng.random((records, 1, 1)) * np.eye(classes)[rng.integers(0, classes, shape[:2])]
    )
    noise = rng.gumbel(size=shape)
    return true * np.array(temperatures)[:, None], (true + noise).argmax(axis=-1)


@pytest.mark.parametrize("temperature", [0.1, 0.4, 1.0, 2.5, 10.0])
def test_it_is_the_softmax_of_logits_over_t(temperature):
    logits = np.random.default_rng(0).normal(0, 4, (50, 21_000)).astype(np.float32)
    probabilities = softmax(logits)
    probabilities[:, 5] = 0
    expected = softmax(np.where(np.arange(21_000) == 5, -np.inf, logits / temperature))
    found = calibrated(probabilities, temperature)
    assert found.dtype == np.float32
    assert np.allclose(found, expected, rtol=2e-3, atol=1e-7)
    assert not found[:, 5].any()
    assert found.sum(axis=1) == pytest.approx(np.ones(50), abs=1e-4)
    likeliest = probabilities.argmax(axis=1)
    assert (found[np.arange(50), likeliest] == found.max(axis=1)).all()
    assert np.allclose(np.asarray(calibrated(probabilities, temperature, ops)), found, rtol=1e-4)


def test_nothing_is_lost_of_a_tiny_probability():
    """As large a power of 1 / 50,000 as there may be is 0 in float32."""
    even = np.full((1, 50_000), 1 / 50_000, np.float32)
    assert calibrated(even, 0.1) == pytest.approx(even, rel=1e-3)


def test_no_class_wins_that_did_not():
    """Where rounding makes two classes equal, the first would be the likeliest."""
    logits = np.array([[1.0, np.nextafter(np.float32(1), np.float32(2)), 0.0]], np.float32)
    assert calibrated(np.exp(logits - logits.max()), np.float32(10)).argmax() == 0
    classes, confidences, loss = read_logits(logits, None, np.array([10.0], np.float32))
    assert classes.tolist() == [1]
    assert loss == read_logits(logits)[2]  # it stays the loss that training measures
    assert confidences[0] == pytest.approx(softmax(logits / 10)[0, 1])


def test_one_temperature_where_that_is_enough_else_one_an_output():
    logits, labels = drawn(0, 2_000, [0.5] * 3)
    source = Oracle(logits, labels)
    found, _ = fit_calibration(source, source, [None] * 3)
    assert found.scale.temperatures == [found.scale.temperatures[0]] * 3
    assert found.scale.temperatures[0] == pytest.approx(0.5, rel=0.05)
    assert found.scale.power == 1
    logits, labels = drawn(1, 2_000, [0.5, 2.0])
    source = Oracle(logits, labels)
    found, _ = fit_calibration(source, source, [None] * 2)
    assert found.scale.temperatures == pytest.approx([0.5, 2.0], rel=0.07)


def test_fresh_records_are_as_often_right_as_they_are_sure():
    logits, labels = drawn(2, 1_000, [0.4] * 4)
    source = Oracle(logits, labels)
    found, judged = fit_calibration(source, source, [None] * 4)
    fresh = Oracle(*drawn(3, 4_000, [0.4] * 4))
    before = evaluate_source(fresh, fresh, [None] * 4)
    after = evaluate_source(fresh, fresh, [None] * 4, scales=[found.scale])
    assert before.character_reliability().error > 0.1
    assert after.character_reliability().error < 0.02
    assert after.label_reliability().error < 0.03
    assert judged.character_reliability().error < 0.03
    for name in ("predictions", "losses", "ranks"):
        assert np.array_equal(getattr(before, name), getattr(after, name))


def test_mistakes_that_come_together_make_labels_surer():
    """Half of the images are hard in all outputs: the product of confidences is too small."""
    logits, labels = drawn(4, 3_000, [1.0])
    logits, labels = np.repeat(logits, 4, axis=1), np.repeat(labels, 4, axis=1)
    source, fresh = Oracle(logits[:1_000], labels[:1_000]), Oracle(logits[1_000:], labels[1_000:])
    found, _ = fit_calibration(source, source, [None] * 4)
    assert found.scale.power < 0.5
    judged = evaluate_source(fresh, fresh, [None] * 4, scales=[found.scale])
    assert judged.label_reliability().error < 0.04
    alone = [Scale(temperatures=found.scale.temperatures)]
    product = evaluate_source(fresh, fresh, [None] * 4, scales=alone)
    assert product.label_reliability().error > 0.1


def test_a_split_without_a_mistake_proves_no_more_than_its_size():
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 10, (100, 3))
    source = Oracle(4 * np.eye(10)[labels] + 0.3 * rng.normal(size=(100, 3, 10)), labels)
    found, judged = fit_calibration(source, source, [None] * 3)
    assert found.scale.temperatures[0] > 0.1
    assert judged.exact == 1
    assert 1 - judged.confidences.mean() == pytest.approx(1 / 302, rel=0.5)


def test_each_half_is_judged_by_the_other():
    """Records of even numbers have wild labels: what they fit shows in those of odd numbers."""
    logits, labels = drawn(6, 400, [0.5] * 2)
    labels[::2] = np.random.default_rng(0).integers(0, 10, (200, 2))
    source = Oracle(logits, labels)
    found, judged = fit_calibration(source, source, [None] * 2)
    of_even, of_odd = (scale.temperatures[0] for scale in found.halves)
    assert of_even == pytest.approx(0.5, rel=0.15)
    assert of_odd > 2 > found.halves[0].temperatures[0]
    again = evaluate_source(source, source, [None] * 2, scales=found.scales(0))
    assert np.array_equal(again.label_confidences, judged.label_confidences)
    assert found.evidence == judged.evidence()
    assert found.scales() == (found.scale,)
    one = evaluate_source(source, source, [None] * 2, scales=[found.halves[0]])
    assert np.array_equal(one.confidences[::2], judged.confidences[::2])
    assert (one.confidences[1::2] > judged.confidences[1::2]).mean() > 0.9


@pytest.mark.parametrize(
    ("records", "overfit", "reason"),
    [
        (None, None, "the run has no validation split"),
        (19, None, "the validation split has 19 records, and it takes 20"),
        (30, 30, "with --overfit it was trained on the records that it is validated on"),
    ],
)
def test_where_nothing_can_be_fitted_it_says_why(records, overfit, reason, monkeypatch, tmp_path):
    written = []
    monkeypatch.setattr(
        "train.evaluation.fit_calibration.write_calibration", lambda *a: written.append(a)
    )
    run = RunFolder(str(tmp_path))
    run.config = lambda: {"overfit": overfit}
    source = None if records is None else Oracle(*drawn(0, records, [1.0]))
    found, evaluation = calibrate_run(run, source)
    assert (found.scale, evaluation, found.scales(0)) == (None, None, ())
    assert str(found) == f"none: {reason}"
    assert written == [(run, found)]
    assert parse_calibration(json.dumps(found.to_json()).encode(), 1) == found


SCALE = Scale(temperatures=[0.5, 0.625], power=0.75)
COUNTS = [0] * (len(THRESHOLDS) - 1)
FITTED = Calibration(
    records=93,
    scale=SCALE,
    halves=[SCALE, SCALE],
    evidence=Evidence(accepted=[*COUNTS, 93], wrong=[*COUNTS, 2]),
)


def test_a_calibration_is_read_as_it_was_written():
    text = json.dumps(FITTED.to_json()).encode()
    assert parse_calibration(text, 2) == FITTED
    assert str(FITTED) == (
        "temperature 0.5, 0.625, labels to the power of 0.75, fitted on 93 validation records"
    )
    other = {**FITTED.to_json(), "thresholds": [0.5]}  # of another version
    assert parse_calibration(json.dumps(other).encode(), 2).evidence is None


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda c: c.update(records=-1), "it does not say how many records it is of"),
        (lambda c: c.update(scale=None, reason=7), "its `reason` is 7"),
        (lambda c: c.update(scale=None, reason="x" * 201), "its `reason` is 'xxx"),
        (lambda c: c.update(halves=[]), "its `halves` are a list"),
        (lambda c: c["scale"].update(temperatures=[0.5]), "it has no temperature for each of 2"),
        (lambda c: c["scale"].update(temperatures=[0.5, 0]), "a temperature is 0"),
        (lambda c: c["halves"][1].update(temperatures=[0.5, None]), "a temperature is None"),
        (lambda c: c["scale"].update(temperatures=[0.5, float("nan")]), "a temperature is nan"),
        (lambda c: c["scale"].update(power="1"), "its `power` is '1'"),
        (lambda c: c.update(evidence=None), "its `evidence` does not count the records above"),
        (lambda c: c["evidence"].update(wrong=[1]), "its `evidence` does not count"),
        (lambda c: c["evidence"].update(wrong=[*COUNTS, 94]), "its `evidence` counts more"),
        (lambda c: c.update(records=92), "its `evidence` counts more records than there are"),
    ],
)
def test_a_calibration_of_a_stranger_is_checked(change, problem):
    content = json.loads(json.dumps(FITTED.to_json()))
    change(content)
    with pytest.raises(ValueError) as caught:
        parse_calibration(json.dumps(content).encode(), 2)
    assert problem in str(caught.value)


@pytest.mark.parametrize("text", [b"", b"[]", b"\xff", b"[" * 100_000])
def test_what_is_no_calibration(text):
    with pytest.raises(ValueError):
        parse_calibration(text, 2)
