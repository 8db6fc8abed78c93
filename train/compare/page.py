"""A comparison as one page of HTML."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence

from convert.os_errors import failure
from convert.storage.local import write_file
from convert.storage.places import is_remote
from convert.storage.regular_files import open_regular
from train.compare.runs import Compared, differing
from train.compare.tables import HEAD, results, warning
from train.errors import UsageError
from train.pages.chart import KINDS, Axis, Chart, Series, epoch_axis
from train.pages.numbers import percent, ticks
from train.pages.render import render

_KIND = "Comparison of runs"  # stands in each of these pages, by which they are known
_CHARTS = (
    ("validation_exact", "Exact match on validation"),
    ("validation_character_accuracy", "Characters on validation"),
    ("validation_loss", "Loss on validation, nats"),
    ("exact", "Exact match in training"),
    ("loss", "Loss in training, nats"),
)
_SHARES = [0, 0.2, 0.4, 0.6, 0.8, 1]
_HEAD_BYTES = 1 << 16  # of a page: its kind stands after the style


def check_page(path: str, runs: Sequence[str], *, overwrite: bool) -> None:
    """Raises `UsageError` unless a page may be written.

    Args:
        path: The file.
        runs: The runs, in whose folders nothing is written.
        overwrite: Whether it may replace a file that is no such page.
    """
    if is_remote(path):
        raise UsageError(f"{path}: a page is written to a disk of this machine. Name a local path.")
    folders = [os.path.realpath(run) for run in runs if not is_remote(run)]
    if any(os.path.realpath(path).startswith(os.path.join(folder, "")) for folder in folders):
        raise UsageError(f"{path}: lies in a run. Name another --output.")
    if os.path.lexists(path) and not overwrite and not _is_ours(path):
        raise UsageError(
            f"{path}: exists, and is no comparison of runs. Name another --output, or replace it "
            "with --overwrite."
        )


def _is_ours(path: str) -> bool:
    try:
        with open(path, "rb", opener=open_regular) as file:
            return f'<p class="kind">{_KIND}</p>'.encode() in file.read(_HEAD_BYTES)
    except OSError:
        return False


def write_page(path: str, runs: Sequence[Compared]) -> None:
    """Writes the page.

    Raises:
        TryAgainError: The disk is full or damaged.
        ShardfeedError: It cannot be written for a reason that stays.
    """
    try:
        write_file(path, page(runs))
    except OSError as error:
        again = "run the same command again"
        raise failure(error, f"{path}: cannot be written", again) from error


def page(runs: Sequence[Compared]) -> str:
    """Returns the page, which asks for nothing else."""
    return render(
        "compare/compare.html.jinja",
        kind=_KIND,
        names=[run.name for run in runs],
        kinds=KINDS,
        head=HEAD,
        results=results(runs),
        warning=warning(runs),
        options=[(name.replace("_", "-"), values) for name, values in differing(runs)],
        charts=[chart for chart in (_chart(runs, *one) for one in _CHARTS) if chart is not None],
    )


def _chart(runs: Sequence[Compared], column: str, title: str) -> Chart | None:
    """Returns the curves of a column over each other; None if no run has it."""
    is_share = not column.endswith("loss")
    series = []
    for run, kind in zip(runs, KINDS, strict=False):
        points = [(row["epoch"], row.get(column, math.nan)) for row in run.history]
        value = run.at_best(column)
        note = "" if value is None else percent(value) if is_share else f"{value:.4f}"
        series.append(Series(name=run.name, kind=kind, points=points, note=note))
    values = [value for one in series for _, value in one.drawn]
    if not values:
        return None
    y = (
        Axis(ticks=_SHARES, write="{:.0%}".format, exactly=percent)
        if is_share
        else Axis(ticks=ticks(0, max(0.0, *values)), exactly="{:.4f}".format)
    )
    return Chart(
        title=title,
        x=epoch_axis(
            min(run.history[0]["epoch"] for run in runs),
            max(run.history[-1]["epoch"] for run in runs),
        ),
        y=y,
        series=series[::-1],  # the legend begins with the first run
    )
