"""How training went: curves over the epochs, and the same as numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import median

from train.report.chart import Axis, Plot, Point, Series, line_chart
from train.report.content import Content
from train.report.markup import Html, element, joined, table
from train.report.numbers import compact, duration, percent, ticks

_SPLITS = (("", "training", "second"), ("validation_", "validation", "first"))
_OTHERS = ("third", "fourth")


def learning(content: Content) -> Html:
    """Returns the curves of what was learned, and the history as a table."""
    smoothed = content.options.get("label_smoothing")
    note = "Of training with label smoothing, of validation without." if smoothed else ""
    if content.validation is None:
        note = ""
    charts = [
        _metric(content, "exact", "Exact match"),
        _metric(content, "character_accuracy", "Characters"),
        _metric(content, "loss", "Loss, nats", note),
    ]
    return joined(
        element("div", *charts, class_="grid"),
        element("details", element("summary", "All epochs as numbers"), _numbers(content)),
    )


def speed(content: Content) -> Html:
    """Returns the curves of the work itself."""
    charts = [
        _single(content, "images_per_second", "Images a second", _whole, "Median"),
        _single(
            content,
            "input_wait",
            "Input wait",
            percent,
            "Share of the time in which the model waited for its next batch; median",
        ),
        _single(content, "learning_rate", "Learning rate at the epoch's end", compact),
    ]
    return element("div", *charts, class_="grid")


def _metric(content: Content, name: str, title: str, note: str = "") -> Html:
    """Returns a chart of all columns that hold a metric: of each split, and of other weights."""
    is_share = name != "loss"
    write: Callable[[float], str] = percent if is_share else (lambda value: f"{value:.4f}")
    series = []
    for column, label, kind in _columns(content, name):
        value = content.at_best(column)
        points = content.column(column)
        shown = write(value) if math.isfinite(value) else ""
        series.append(Series(name=label, kind=kind, points=points, note=shown))
    y = [value for one in series for _, value in one.points if math.isfinite(value)]
    y_axis = (
        Axis(ticks=[0, 0.2, 0.4, 0.6, 0.8, 1], write=lambda tick: f"{tick:.0%}", exactly=percent)
        if is_share
        else Axis(ticks=ticks(0, max(y, default=1)), exactly=write)
    )
    # Where the lines end, a name would hide them.
    plot = Plot(x=_epochs(content), y=y_axis, names_on_top=not is_share)
    return line_chart(title, plot, series, [(content.best, "best")], note)


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
) -> Html:
    """Returns a chart of one column; a note ends with the median."""
    points: list[Point] = content.column(column)
    values = [value for _, value in points if math.isfinite(value)]
    axis = Axis(
        ticks=ticks(0, max(values, default=1.0), 4),
        write=_short_percent if write is percent else write,
        exactly=write,
    )
    series = Series(name="", kind="first", points=points)
    plot = Plot(x=_epochs(content), y=axis, height=180)
    return line_chart(
        title, plot, [series], note=f"{note} {write(median(values))}." if note else ""
    )


def _whole(value: float) -> str:
    return f"{value:,.0f}"


def _short_percent(share: float) -> str:
    return f"{100 * share:.4g}%"


def _epochs(content: Content) -> Axis:
    """Returns the axis of the epochs."""
    first, last = content.history[0]["epoch"], content.history[-1]["epoch"]
    inner = [tick for tick in ticks(first, last, 6, least_step=1) if first <= tick <= last]
    least_gap = (last - first) / 12
    inner = [t for t in inner if t in (first, last) or min(t - first, last - t) > least_gap]
    found = sorted({first, *inner, last})
    # A single epoch stands in the middle of an axis of its own.
    return Axis(
        ticks=found if len(found) > 1 else [first - 0.5, first, first + 0.5],
        write=lambda tick: f"{tick:.0f}" if tick == int(tick) else "",
        label="epoch",
    )


def _numbers(content: Content) -> Html:
    """Returns the history as a table."""
    names = [name for name in content.history[0] if name != "epoch"]
    head, rows = ["epoch", *(name.replace("_", " ") for name in names)], []
    for row in content.history:
        epoch = f"{row['epoch']:.0f}" + (" (best)" if row["epoch"] == content.best else "")
        rows.append([epoch, *(_cell(name, row[name]) for name in names)])
    return table(head, rows, caption="history.csv", numbers=set(range(1, len(head))))


def _cell(name: str, value: float) -> str:
    if not math.isfinite(value):
        return ""
    if name.endswith(("exact", "accuracy", "input_wait")):
        return percent(value)
    if name.endswith("loss"):
        return f"{value:.4f}"
    return duration(value) if name == "seconds" else compact(value)
