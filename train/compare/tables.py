"""A comparison as tables: the same for a terminal, a page and a program."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from convert.command.printed import without_controls
from train.compare.runs import DATASET_ID, Compared, differing
from train.pages.numbers import duration, percent

HEAD = ("run", "exact", "characters", "loss", "best epoch", "epochs", "steps", "time", "images/s")
_NONE = "–"


def results(runs: Sequence[Compared]) -> list[list[str]]:
    """Returns a row for each run, of the columns of `HEAD`; results are those of validation."""
    return [
        [
            run.name,
            _shown(run.at_best("validation_exact"), percent),
            _shown(run.at_best("validation_character_accuracy"), percent),
            _shown(run.at_best("validation_loss"), "{:.4f}".format),
            f"{run.best['epoch']:.0f}",
            f"{len(run.history):,}",
            f"{run.history[-1]['step']:,.0f}",
            duration(run.seconds),
            f"{_median_rate(run):,.0f}",
        ]
        for run in runs
    ]


def warning(runs: Sequence[Compared]) -> str | None:
    """Returns why the results of runs cannot be compared; None if they can."""
    by_heart = [run.name for run in runs if run.options.get("overfit")]
    if by_heart:
        return (
            f"validation of {', '.join(map(without_controls, by_heart))} is of the images that "
            "--overfit trains on, so its results say nothing of new images"
        )
    if len({run.options[DATASET_ID] for run in runs}) == 1:
        return None
    return (
        "these runs were validated on different datasets, so their results are not of the same "
        "images: `train evaluate RUN DATASET` measures each on one"
    )


def lines(runs: Sequence[Compared]) -> list[str]:
    """Returns a comparison as lines for a terminal."""
    options = [[name.replace("_", "-"), *values] for name, values in differing(runs)]
    return [
        *_aligned([list(HEAD), *results(runs)]),
        "",
        *(
            _aligned([["options that differ", *(run.name for run in runs)], *options])
            if options
            else ["no option differs"]
        ),
    ]


def as_json(runs: Sequence[Compared]) -> dict[str, Any]:
    """Returns a comparison for a program."""
    names = [name for name, _ in differing(runs)]
    return {
        "differing": names,
        "runs": [
            {
                "run": run.address,
                "epochs": len(run.history),
                "steps": int(run.history[-1]["step"]),
                "best_epoch": int(run.best["epoch"]),
                "exact": run.at_best("validation_exact"),
                "character_accuracy": run.at_best("validation_character_accuracy"),
                "loss": run.at_best("validation_loss"),
                "seconds": round(run.seconds, 3),
                "options": {name: run.options.get(name) for name in names},
            }
            for run in runs
        ],
    }


def _median_rate(run: Compared) -> float:
    rates = sorted(run.finite("images_per_second"))
    return rates[len(rates) // 2]


def _shown(value: float | None, write: Any) -> str:
    return _NONE if value is None else str(write(value))


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Returns rows of cells as lines: the first column flush left, the others flush right."""
    shown = [[without_controls(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if index == 0 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in shown
    ]
