"""Line charts as SVG: colours come from the page's style, values show under the pointer."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from train.report.markup import Html, element, joined
from train.report.numbers import compact

Point = tuple[float, float]

WIDTH, HEIGHT = 360, 216
_TOP, _RIGHT, _BOTTOM = 12, 14, 32
_LETTER = 6.3  # width of a digit at the size of the ticks
_DOTS = 40  # more would touch each other; the line is enough then
_HITS = 150  # places that show their value: finer than a pointer


@dataclass(frozen=True, kw_only=True, slots=True)
class Series:
    """A line.

    Attributes:
        name: In the legend.
        kind: Class of the style: `first`, `second`, `third` or `fourth`.
        points: (x, y) with x ascending; those that are not finite leave a gap out.
        note: Beside its name in the legend, for instance a value.
    """

    name: str
    kind: str
    points: Sequence[Point]
    note: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Axis:
    """An axis.

    Attributes:
        ticks: Values that are written, ascending, two at least; the axis reaches from the first
            to the last.
        write: Returns a tick as text.
        exactly: Returns any value as text; it shows under the pointer.
        label: What the values are; of the vertical axis the title says it.
    """

    ticks: Sequence[float]
    write: Callable[[float], str] = compact
    exactly: Callable[[float], str] = compact
    label: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plot:
    """Where values lie on a drawing.

    Attributes:
        x: The horizontal axis.
        y: The vertical axis.
        height: Of the drawing, in its own units, of which `WIDTH` make its width.
        names_on_top: Whether the names of marks stand at the top; else at the foot.
    """

    x: Axis
    y: Axis
    height: int = HEIGHT
    names_on_top: bool = False
    left: float = field(init=False)

    def __post_init__(self) -> None:
        longest = max(len(self.y.write(tick)) for tick in self.y.ticks)
        object.__setattr__(self, "left", 12 + _LETTER * longest)

    @property
    def bottom(self) -> float:
        """Where the horizontal axis lies."""
        return self.height - _BOTTOM

    def across(self, value: float) -> float:
        """Returns the horizontal place of a value."""
        low, high = self.x.ticks[0], self.x.ticks[-1]
        return self.left + (WIDTH - _RIGHT - self.left) * (value - low) / (high - low)

    def up(self, value: float) -> float:
        """Returns the vertical place of a value; what is beyond the axis lies at its end."""
        low, high = self.y.ticks[0], self.y.ticks[-1]
        share = min(max((value - low) / (high - low), 0.0), 1.0)
        return self.bottom - (self.bottom - _TOP) * share

    def frame(self) -> Html:
        """Returns grid, ticks and the label of the horizontal axis."""
        right, parts = WIDTH - _RIGHT, []
        for tick in self.y.ticks:
            y = self.up(tick)
            parts.append(_line(self.left, y, right, y, "rule"))
            parts.append(text(self.y.write(tick), self.left - 6, y + 3.5, "end"))
        for tick in self.x.ticks:
            x = self.across(tick)
            parts.append(_line(x, self.bottom, x, self.bottom + 4, "axis"))
            parts.append(text(self.x.write(tick), x, self.bottom + 15, "middle"))
        parts.append(_line(self.left, self.bottom, right, self.bottom, "axis"))
        middle = (self.left + right) / 2
        parts.append(text(self.x.label, middle, self.height - 3, "middle"))
        return joined(*parts)

    def line(self, points: Sequence[Point], kind: str) -> Html:
        """Returns a line through some points."""
        places = " ".join(f"{self.across(x):.1f},{self.up(y):.1f}" for x, y in points)
        return element("polyline", points=places, class_=f"line {kind}")

    def mark(self, value: float, name: str) -> Html:
        """Returns a dotted vertical line with its name."""
        x = self.across(value)
        anchor = "end" if x > WIDTH - 60 else "start"
        shift = -4 if anchor == "end" else 4
        y = _TOP + 9 if self.names_on_top else self.bottom - 6
        return joined(_line(x, _TOP, x, self.bottom, "mark"), text(name, x + shift, y, anchor))


def text(value: str, x: float, y: float, anchor: str) -> Html:
    """Returns text at a place of a drawing."""
    return element("text", value, x=f"{x:.1f}", y=f"{y:.1f}", text_anchor=anchor)


def drawing(label: str, height: int, *children: object) -> Html:
    """Returns an SVG that is as wide as its place.

    Args:
        label: What is to be seen, for those who do not see it.
        height: In units of which `WIDTH` make the width.
        *children: What is drawn, the lowest first.
    """
    return element("svg", *children, viewBox=f"0 0 {WIDTH} {height}", role="img", aria_label=label)


def line_chart(
    title: str,
    plot: Plot,
    series: Sequence[Series],
    marks: Sequence[tuple[float, str]] = (),
    note: str = "",
) -> Html:
    """Returns a figure with one or several lines.

    Args:
        title: What the vertical axis shows, and its unit.
        plot: The axes.
        series: The lines, the most important last.
        marks: Values of the horizontal axis to mark, and how.
        note: A sentence below the title.
    """
    drawn: list[object] = [plot.frame()]
    drawn += [plot.mark(value, name) for value, name in marks]
    for one in series:
        points = [point for point in one.points if all(map(math.isfinite, point))]
        drawn.append(plot.line(points, one.kind))
        drawn += _dots(plot, one, points)
    said = "; ".join(f"{one.name} {one.note}".strip() for one in series)
    return figure(
        title,
        drawing(f"{title}: {said}", plot.height, *drawn),
        legend=list(series) if len(series) > 1 or series[0].note else [],
        note=note,
    )


def figure(title: str, content: Html, legend: Sequence[Series] = (), note: str = "") -> Html:
    """Returns a drawing with its title, its legend and a note."""
    keys = [
        element(
            "span",
            element("i", class_=one.kind),
            one.name,
            element("b", one.note) if one.note else None,
        )
        for one in reversed(legend)
    ]
    return element(
        "figure",
        element(
            "figcaption",
            element("h3", title),
            element("p", *keys, class_="legend") if keys else None,
            element("p", note) if note else None,
        ),
        content,
    )


def _dots(plot: Plot, series: Series, points: Sequence[Point]) -> list[Html]:
    """Returns the points of a line, which say their values when asked."""
    step = max(1, math.ceil(len(points) / _HITS))
    seen = "dot" if len(points) <= _DOTS else "dot unseen"
    return [
        element(
            "g",
            element(
                "circle", cx=f"{plot.across(x):.1f}", cy=f"{plot.up(y):.1f}", r=8, class_="hit"
            ),
            element(
                "circle", cx=f"{plot.across(x):.1f}", cy=f"{plot.up(y):.1f}", r=2.2, class_=seen
            ),
            element(
                "title", f"{plot.x.label} {plot.x.exactly(x)}: {series.name} {plot.y.exactly(y)}"
            ),
            class_=series.kind,
        )
        for x, y in points[::step]
    ]


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Html:
    places = {"x1": x1, "y1": y1, "x2": x2, "y2": y2}
    return element("line", class_=kind, **{name: f"{at:.1f}" for name, at in places.items()})
