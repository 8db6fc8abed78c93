"""The charts of a report: how training went, and how far confidence can be trusted."""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import median

import numpy as np

from train.evaluation.evidence import Acceptance
from train.evaluation.scores import Reliability, Selection
from train.pages.chart import KINDS, Axis, Bubble, Chart, Series, epoch_axis
from train.pages.numbers import compact, percent, ticks
from train.report.content import Content

_SPLITS = (("", "training", "second"), ("validation_", "validation", "first"))
_OTHERS = KINDS[2:]
_SHARES = [0, 0.2, 0.4, 0.6, 0.8, 1]
_POINTS = 200  # of a curve: finer than can be seen
_SQUARE = 280  # height of a drawing that is about as high as wide


def learning(content: Content) -> list[Chart]:
    """Returns the curves of what was learned."""
    smoothed = content.options.get("label_smoothing") and content.validation is not None
    note = "Of training with label smoothing, of validation without." if smoothed else ""
    return [
        _metric(content, "exact", "Exact match"),
        _metric(content, "character_accuracy", "Characters"),
        _metric(content, "loss", "Loss, nats", note),
    ]


def speed(content: Content) -> list[Chart]:
    """Returns the curves of the work itself."""
    waiting = "Share of the time in which the model waited for its next batch; median"
    return [
        _single(content, "images_per_second", "Images a second", "{:,.0f}".format, "Median"),
        _single(content, "input_wait", "Input wait", percent, waiting),
        _single(content, "learning_rate", "Learning rate at the epoch's end", compact),
    ]


def reliability(found: Reliability, title: str) -> Chart:
    """Returns a diagram of confidence against success in groups of equally many answers."""
    # Where confidences crowd near 1, so does the axis.
    low = min(0.95, *found.confidences.tolist(), *found.accuracies.tolist())
    shown = [tick for tick in ticks(low, 1.0, 4) if 0 <= tick <= 1]
    axis = Axis(ticks=shown, write=_short_percent, label="confidence")
    error = (
        f"xpected calibration error {percent(found.error)}; a perfect model: "
        f"{percent(found.chance)}"
    )
    return Chart(
        title=title,
        x=axis,
        y=axis,
        height=_SQUARE,
        bubbles=[_bubble(found, group) for group in range(len(found.counts))],
        summary=f"e{error}",
        note=f"Share right against confidence; above the line the model is too modest. E{error}.",
    )


def _bubble(found: Reliability, group: int) -> Bubble:
    count, mean = int(found.counts[group]), float(found.confidences[group])
    right, low, high = (
        float(values[group]) for values in (found.accuracies, found.lows, found.highs)
    )
    return Bubble(
        low=low,
        high=high,
        x=mean,
        y=right,
        text=f"Confidence {percent(low)} to {percent(high)}: {count:,} answers, {percent(right)} "
        f"right at a mean confidence of {percent(mean)}",
    )


def coverage(selection: Selection, cut: Acceptance | str) -> Chart:
    """Returns the share of right labels against the share of records that are accepted.

    Args:
        selection: All cuts.
        cut: The one to mark, or why there is none.
    """
    coverages, exacts = selection.coverages, selection.exacts
    step = max(1, math.ceil(len(coverages) / _POINTS))
    places = sorted({*range(0, len(coverages), step), len(coverages) - 1})
    # The first few records alone make a wild start that would flatten all the rest.
    low = min(float(np.min(exacts[coverages >= 0.05])), 0.99)
    return Chart(
        title="What can be read alone",
        x=Axis(ticks=_SHARES, write="{:.0%}".format, exactly=percent, label="records read alone"),
        y=Axis(
            ticks=[tick for tick in ticks(low, 1.0, 4) if 0 <= tick <= 1],
            write=_short_percent,
            exactly=percent,
        ),
        height=_SQUARE,
        series=[
            Series(name="exact", points=[(float(coverages[i]), float(exacts[i])) for i in places])
        ],
        marks=[] if isinstance(cut, str) else [(cut.coverage, "99% exact")],
        note="Exact match of the records the model is surest of; the others are left to a person.",
    )


def _metric(content: Content, name: str, title: str, note: str = "") -> Chart:
    """Returns a chart of all columns that hold a metric: of each split, and of other weights."""
    is_share = name != "loss"
    write: Callable[[float], str] = percent if is_share else "{:.4f}".format
    series = []
    for column, label, kind in _columns(content, name):
        value = content.at_best(column)
        shown = write(value) if math.isfinite(value) else ""
        series.append(Series(name=label, kind=kind, points=content.column(column), note=shown))
    most = max((value for one in series for _, value in one.drawn), default=1)
    y = (
        Axis(ticks=_SHARES, write="{:.0%}".format, exactly=percent)
        if is_share
        else Axis(ticks=ticks(0, most), exactly=write)
    )
    return Chart(
        title=title,
        x=_epochs(content),
        y=y,
        series=series,
        marks=[(content.best, "best")],
        note=note,
        names_on_top=not is_share,  # where the lines end, a name would hide them
    )


def _columns(content: Content, metric: str) -> list[tuple[str, str, str]]:
    """Returns name, label and kind of the history's columns of a metric, validation last."""
    names = content.history[0]
    known = {prefix + metric: (label, kind) for prefix, label, kind in _SPLITS}
    others = [n for n in names if n.endswith("_" + metric) and n not in known]
    kinds = dict(zip(others, _OTHERS, strict=False))
    found = [(n, n.removesuffix("_" + metric).replace("_", " "), k) for n, k in kinds.items()]
    return found + [(name, *known[name]) for name in known if name in names]


def _single(
    content: Content, column: str, title: str, write: Callable[[float], str], note: str = ""
) -> Chart:
    """Returns a chart of one column; a note ends with the median."""
    series = Series(points=content.column(column))
    values = [value for _, value in series.drawn]
    return Chart(
        title=title,
        x=_epochs(content),
        y=Axis(
            ticks=ticks(0, max(values, default=1.0), 4),
            write=_short_percent if write is percent else write,
            exactly=write,
        ),
        series=[series],
        height=180,
        note=f"{note} {write(median(values))}." if note else "",
    )


def _short_percent(share: float) -> str:
    return f"{100 * share:.4g}%"


def _epochs(content: Content) -> Axis:
    """Returns the axis of the epochs."""
    return epoch_axis(content.history[0]["epoch"], content.history[-1]["epoch"])
