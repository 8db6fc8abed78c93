"""Values of curves, by group and name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from train.evaluation.predictions import Evaluation
from train.training.meter import EpochMeter

Values = dict[str, float]
"""{tag: value}; TensorBoard groups tags by what stands before the slash."""

GRADIENT_NORM = "train/gradient_norm"
COMPARED = ("loss", "character_accuracy", "exact")
"""What both training and validation tell, under the same names."""


def training_curves(
    logs: Mapping[str, Any], learning_rate: float, gradient_norm: float | None
) -> Values:
    """Returns the points of a step.

    Args:
        logs: Of Keras: means since the epoch began.
        learning_rate: Of the step.
        gradient_norm: Of the step, before it was clipped. None: not known yet.
    """
    values = {f"train/{name}": float(logs[name]) for name in COMPARED}
    values["train/learning_rate"] = learning_rate
    return values if gradient_norm is None else {**values, GRADIENT_NORM: gradient_norm}


def validation_curves(evaluation: Evaluation, outputs: Sequence[str]) -> Values:
    """Returns the points of an epoch's validation; those of `train/` have the same names."""
    return {
        "validation/loss": evaluation.loss,
        "validation/character_accuracy": evaluation.character_accuracy,
        "validation/exact": evaluation.exact,
        "validation/top5_accuracy": evaluation.top5_accuracy,
        **_by_output("accuracy", outputs, evaluation.output_accuracies),
        **_by_output("top5_accuracy", outputs, evaluation.output_top5_accuracies),
    }


def _by_output(what: str, outputs: Sequence[str], values: Sequence[float]) -> Values:
    return {f"validation_{what}/{o}": value for o, value in zip(outputs, values, strict=True)}


def raw_curves(row: Mapping[str, float]) -> Values:
    """Returns the points of the weights that are trained, where their average is validated.

    And those of each dataset, where several are validated together.

    Args:
        row: Of the history; without an average it has no such columns.
    """
    columns = {f"validation_raw/{name}": f"raw_validation_{name}" for name in COMPARED}
    numbers = (n.removeprefix("validation_").removesuffix("_exact") for n in row)
    for number in filter(str.isdecimal, numbers):  # one of several datasets
        columns |= {
            f"validation_{number}/{name}": f"validation_{number}_{name}" for name in COMPARED
        }
    return {tag: row[column] for tag, column in columns.items() if column in row}


class Pace:
    """How fast training goes from one point of a curve to the next.

    Args:
        meter: Measures an epoch.
        batch_size: Images of a step.
    """

    def __init__(self, meter: EpochMeter, batch_size: int) -> None:
        self._meter, self._batch_size = meter, batch_size
        self.start()

    def start(self) -> None:
        """Begins anew, with an epoch or in its midst."""
        self._last = self._now()

    def take(self) -> Values:
        """Returns the points since the last ones, or since the start."""
        before, self._last = self._last, self._now()
        steps, seconds, waited = (now - then for now, then in zip(self._last, before, strict=True))
        seconds = max(seconds, 1e-9)
        return {
            "speed/images_per_second": steps * self._batch_size / seconds,
            "speed/input_wait": min(1.0, waited / seconds),
        }

    def _now(self) -> tuple[int, float, float]:
        return self._meter.steps, self._meter.seconds, self._meter.waited_seconds


def comparison() -> Any:
    """Returns a `Summary` that lays curves of training and validation over each other."""
    from tensorboardX.summary import custom_scalars

    groups = ("train", "validation", "validation_raw")
    charts = {name: ["Multiline", [f"{group}/{name}" for group in groups]] for name in COMPARED}
    outputs = {
        what: ["Multiline", [f"validation_{what}/.*"]] for what in ("accuracy", "top5_accuracy")
    }
    return custom_scalars({"train and validation": charts, "validation by output": outputs})
