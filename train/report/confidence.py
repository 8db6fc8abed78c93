"""Calibration of the model, and the share of records that it may read without a person."""

from __future__ import annotations

import math

import numpy as np

from train.evaluation.predictions import Evaluation
from train.evaluation.scores import (
    CALIBRATION_BINS,
    COVERAGES,
    PRECISIONS,
    Calibration,
    Cut,
    Selection,
)
from train.report.chart import Axis, Plot, Series, drawing, figure, line_chart
from train.report.markup import Html, element, table
from train.report.numbers import percent, ticks

_SHARES = [0, 0.2, 0.4, 0.6, 0.8, 1]
_POINTS = 200  # of a curve: finer than can be seen
_TALLEST = 34  # height of the histogram below a reliability diagram


def confidence(evaluation: Evaluation) -> Html:
    """Returns reliability diagrams, the coverage curve and its cuts as a table."""
    selection = evaluation.selection()
    return element(
        "div",
        _coverage(selection),
        _reliability(evaluation.label_calibration(), "Reliability of whole labels"),
        _reliability(evaluation.character_calibration(), "Reliability of characters"),
        _cuts(selection),
        class_="grid",
    )


def _reliability(calibration: Calibration, title: str) -> Html:
    """Returns a diagram of confidence against success; areas say how many answers there are."""
    height = 280
    axis = Axis(ticks=_SHARES, write=lambda tick: f"{tick:.0%}", label="confidence")
    plot = Plot(x=axis, y=axis, height=height)
    parts: list[object] = [plot.frame(), plot.line([(0, 0), (1, 1)], "ideal")]
    total, most = calibration.counts.sum(), calibration.counts.max()
    for number, count in enumerate(calibration.counts.tolist()):
        if not count:
            continue
        mean, right = calibration.confidences[number], calibration.accuracies[number]
        low, high = number / CALIBRATION_BINS, (number + 1) / CALIBRATION_BINS
        x, tall = plot.across(low), _TALLEST * count / most
        parts.append(
            element(
                "rect", x=f"{x + 1:.1f}", y=f"{plot.bottom - tall:.1f}", height=f"{tall:.1f}",
                width=f"{plot.across(high) - x - 2:.1f}", class_="count",
            )
        )  # fmt: skip
        said = (
            f"Confidence {low:.0%} to {high:.0%}: {count:,} answers, {percent(right)} right at a "
            f"mean confidence of {percent(mean)}"
        )
        x, y = plot.across(mean), plot.up(right)
        dot = element(
            "circle", element("title", said), cx=f"{x:.1f}", cy=f"{y:.1f}",
            r=f"{3 + 7 * math.sqrt(count / total):.1f}", class_="bubble",
        )  # fmt: skip
        gap = element(
            "line", x1=f"{x:.1f}", x2=f"{x:.1f}", y1=f"{plot.up(mean):.1f}", y2=f"{y:.1f}",
            class_="gap",
        )  # fmt: skip
        parts += [gap, dot]
    error = percent(calibration.error)
    return figure(
        title,
        drawing(f"{title}: expected calibration error {error}", height, *parts),
        note=f"Share right against confidence; above the line the model is too modest. "
        f"Expected calibration error {error}.",
    )


def _coverage(selection: Selection) -> Html:
    """Returns the share of right labels against the share of records that are accepted."""
    coverages, exacts = selection.coverages, selection.exacts
    step = max(1, math.ceil(len(coverages) / _POINTS))
    places = sorted({*range(0, len(coverages), step), len(coverages) - 1})
    points = [(float(coverages[i]), float(exacts[i])) for i in places]
    # The first few records alone make a wild start that would flatten all the rest.
    settled = exacts[coverages >= 0.05]
    low = float(np.min(settled))
    y = [tick for tick in ticks(min(low, 0.99), 1.0, 4) if 0 <= tick <= 1]
    plot = Plot(
        x=Axis(
            ticks=_SHARES, write=lambda t: f"{t:.0%}", exactly=percent, label="records read alone"
        ),
        y=Axis(ticks=y, write=lambda tick: f"{100 * tick:.4g}%", exactly=percent),
        height=280,
    )
    cut = selection.at_precision(0.99)
    marks = [(cut.coverage, "99% exact")] if cut else []
    series = Series(name="exact", kind="first", points=points)
    return line_chart(
        "What can be read alone",
        plot,
        [series],
        marks,
        "Exact match of the records the model is surest of; the others are left to a person.",
    )


def _cuts(selection: Selection) -> Html:
    """Returns thresholds for what a user may want, as a table."""
    rows: list[list[object]] = []
    for precision in PRECISIONS:
        cut = selection.at_precision(precision)
        rows.append([f"{precision * 100:.4g}% exact", *_cells(cut)])
    for coverage in COVERAGES[1:]:
        cut = selection.at_coverage(coverage)
        rows.append([f"{coverage:.0%} read", *_cells(cut)])
    said = (
        "Accept a label whose confidence, the product of its outputs', is at least the threshold; "
        "leave the others to a person."
    )
    return element(
        "div",
        element("div", element("h3", "Thresholds"), element("p", said)),
        table(
            ["at least", "threshold", "read", "exact"],
            rows,
            caption="Thresholds of confidence",
            numbers={1, 2, 3},
        ),
        class_="row split",
    )


def _cells(cut: Cut | None) -> list[object]:
    if cut is None:
        return ["–", percent(0), "–"]
    return [cut.threshold_text, percent(cut.coverage), percent(cut.exact)]
