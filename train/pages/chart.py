"""Line charts: where everything lies on a drawing, which the macro `chart` turns into SVG."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from train.pages.numbers import compact

Point = tuple[float, float]

_BOTTOM = 32  # height of the ticks and the label of the horizontal axis
_LETTER = 6.3  # width of a digit at the size of the ticks
_DOTS = 40  # more would touch each other; the line is enough then
_HITS = 150  # places that show their value: finer than a pointer


@dataclass(frozen=True, kw_only=True)
class Series:
    """A line.

    Attributes:
        name: In the legend.
        kind: Class of the style: `first`, `second`, `third` or `fourth`.
        points: (x, y) with x ascending; those that are not finite leave a gap out.
        note: Beside its name in the legend, for instance a value.
    """

    name: str = ""
    kind: str = "first"
    points: Sequence[Point]
    note: str = ""

    @cached_property
    def drawn(self) -> list[Point]:
        """The points that are finite."""
        return [point for point in self.points if all(map(math.isfinite, point))]

    @property
    def dots(self) -> list[Point]:
        """The points that show their values under the pointer."""
        return self.drawn[:: max(1, math.ceil(len(self.drawn) / _HITS))]

    @property
    def has_seen_dots(self) -> bool:
        """Whether dots can be told apart on the line."""
        return len(self.drawn) <= _DOTS


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

    def share(self, value: float) -> float:
        """Returns where a value lies between the first tick, 0, and the last, 1."""
        return (value - self.ticks[0]) / (self.ticks[-1] - self.ticks[0])


@dataclass(frozen=True, kw_only=True, slots=True)
class Bubble:
    """A group of answers in a diagram of reliability.

    Attributes:
        low: Least confidence of the group.
        high: Greatest.
        x: Mean confidence.
        y: Share of right answers.
        text: Shows under the pointer.
    """

    low: float
    high: float
    x: float
    y: float
    text: str


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A drawing with its title, its legend and a note. Lengths are units of `width`.

    Attributes:
        title: What the vertical axis shows, and its unit.
        x: The horizontal axis.
        y: The vertical axis.
        summary: What is to be seen, for those who do not see it. Default: names and notes.
        series: The lines, the most important last.
        marks: Values of the horizontal axis to mark, and how.
        bubbles: Drawn with the diagonal on which confidence would equal success.
        note: A sentence below the title.
        height: Of the drawing.
        names_on_top: Whether the names of marks stand at the top; else at the foot.
        width: Of the drawing.
        top: Where the vertical axis ends.
        right: Where the horizontal axis ends.
    """

    title: str
    x: Axis
    y: Axis
    summary: str = ""
    series: Sequence[Series] = ()
    marks: Sequence[tuple[float, str]] = ()
    bubbles: Sequence[Bubble] = ()
    note: str = ""
    height: int = 216
    names_on_top: bool = False
    width: ClassVar[int] = 360
    top: ClassVar[int] = 12
    right: ClassVar[int] = width - 14

    @property
    def label(self) -> str:
        """The title, and what is to be seen."""
        named = "; ".join(f"{one.name} {one.note}".strip() for one in self.series)
        return f"{self.title}: {self.summary or named}"

    @property
    def legend(self) -> list[Series]:
        """The series to name, the most important first; a line alone needs no name."""
        return list(reversed(self.series)) if any(one.note for one in self.series) else []

    @cached_property
    def left(self) -> float:
        """Where the vertical axis lies: right of its ticks."""
        return 12 + _LETTER * max(len(self.y.write(tick)) for tick in self.y.ticks)

    @property
    def bottom(self) -> float:
        """Where the horizontal axis lies."""
        return self.height - _BOTTOM

    def across(self, value: float) -> float:
        """Returns the horizontal place of a value."""
        return round(self.left + (self.right - self.left) * self.x.share(value), 1)

    def up(self, value: float) -> float:
        """Returns the vertical place of a value; what is beyond the axis lies at its end."""
        share = min(max(self.y.share(value), 0.0), 1.0)
        return round(self.bottom - (self.bottom - self.top) * share, 1)
