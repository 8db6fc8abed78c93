"""The parts of a report: pictures, numbers, axes, markup."""

from __future__ import annotations

import base64
import io
import math

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from PIL import Image
from report_cases import HISTORY, content_of

from train.pages.numbers import compact, duration, interval, percent, size, ticks
from train.pages.render import ENVIRONMENT, data_uri
from train.report.page import page


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


@given(st.floats(-1e6, 1e6), st.floats(0, 1e6), st.integers(2, 8), st.sampled_from([0.0, 1.0]))
@example(low=5e-324, span=0.0, count=2, least=0.0)
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


@given(st.text(), st.text())
def test_what_is_not_markup_is_escaped(text, value):
    page = ENVIRONMENT.from_string('<p title="{{ value }}">{{ text }}</p>')
    made = page.render(text=text, value=value)
    assert made.count("<") == 2
    assert made.count('"') == 2


@pytest.mark.parametrize(
    ("ema", "training", "is_told"),
    [(0.999, 0.5, True), (0.999, 0.9, False), (0.0, 0.5, False)],  # validation has 0.75
)
def test_why_validation_is_above_training(ema, training, is_told):
    history = {**HISTORY, "character_accuracy": training, "exact": training}
    told = page(content_of(options={"dataset": "strips", "ema": ema}, history=history))
    assert ("Validation is above training: it uses the average of the weights" in told) == is_told
