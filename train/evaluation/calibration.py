"""Calibrated confidences: what turns a network's probabilities into shares that come true."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeGuard

import numpy as np

from train.evaluation.evidence import THRESHOLDS, Evidence
from train.runs.files.json_csv import fits, is_text, is_whole, quoted

FITTED_SPLIT = "validation"
LEAST_TEMPERATURE, GREATEST_TEMPERATURE = 0.1, 10.0
LEAST_POWER, GREATEST_POWER = 0.1, 10.0

_MOST_REASON = 200  # characters


def calibrated(probabilities: Any, temperature: Any, xp: Any = np) -> Any:
    """Returns p^(1/T), normalised: what a softmax gives for logits divided by a temperature T.

    Guo, Pleiss, Sun and Weinberger: On Calibration of Modern Neural Networks, ICML 2017. Zeros stay
    zeros and no class overtakes another; but rounding can make two of them equal, so whoever needs
    the likeliest class chooses it before.

    Args:
        probabilities: Floats, shape (..., classes), the largest above 0; they need not add up to 1.
        temperature: Above 1 they become more modest, below 1 surer. A number, or an array that
            fits `probabilities`.
        xp: Module with `max` and `sum`: numpy, or keras.ops.

    Returns:
        Of the same type and shape, in [0, 1].
    """
    # Of the largest: a power of 1 / 50,000 may be too small for a float32.
    shares = probabilities / xp.max(probabilities, axis=-1, keepdims=True)
    powers = shares ** (1 / temperature)
    return powers / xp.sum(powers, axis=-1, keepdims=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """What was fitted.

    Attributes:
        temperatures: Of each output's probabilities.
        power: Of the product of the outputs' confidences, which is that of the whole label: below
            1 where mistakes come together in the same images, above 1 where the model is too
            sure of whole labels all the same.
    """

    temperatures: Sequence[float]
    power: float = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Calibration:
    """What the validation split says of a run's confidences.

    Attributes:
        records: Records of the split.
        scale: Fitted on all of them. None: nothing was fitted.
        halves: Fitted on the records of odd and of even numbers, for the records of even and of
            odd ones: so the split that fitted can be judged by what has not seen it.
        evidence: What each half says of thresholds.
        reason: Why nothing was fitted; else empty.
        parts: Records of each dataset in the split, where it is that of several.
    """

    records: int
    scale: Scale | None = None
    halves: Sequence[Scale] = ()
    evidence: Evidence | None = None
    reason: str = ""
    parts: Sequence[int] = ()

    def scales(self, fitted: int | None = None) -> Sequence[Scale]:
        """Returns the scales of records; that of record i is number i modulo their count.

        Args:
            fitted: Number of the dataset, from 0, if the records are those of it that the
                calibration was fitted on. None: they are others.
        """
        if self.scale is None:
            return ()
        if fitted is None:
            return (self.scale,)
        return self.halves[::-1] if sum(self.parts[:fitted]) % 2 else self.halves

    def to_json(self) -> dict[str, Any]:
        """Returns what `parse_calibration` reads."""
        return {**asdict(self), "thresholds": list(THRESHOLDS)}

    def __str__(self) -> str:
        if self.scale is None:
            return f"none: {self.reason}"
        temperatures = [f"{value:.3g}" for value in self.scale.temperatures]
        few = temperatures[:1] if len({*temperatures}) == 1 else temperatures
        power = "" if self.scale.power == 1 else f", labels to the power of {self.scale.power:.3g}"
        return f"temperature {', '.join(few)}{power}, fitted on {self.records:,} validation records"


def parse_calibration(text: bytes, num_outputs: int) -> Calibration:
    """Reads a calibration, which may come from a stranger.

    Args:
        text: JSON.
        num_outputs: Outputs of the run.

    Raises:
        ValueError: It is none; says why.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError("it is no JSON") from error
    if not isinstance(content, dict) or not is_whole(content.get("records")):
        raise ValueError("it does not say how many records it is of")
    if content.get("scale") is None:
        reason = content.get("reason")
        if not is_text(reason) or len(str(reason)) > _MOST_REASON:
            raise ValueError(f"its `reason` is {quoted(reason)}")
        return Calibration(records=content["records"], reason=str(reason))
    halves = content.get("halves")
    if not isinstance(halves, list) or len(halves) != 2:
        raise ValueError(f"its `halves` are {quoted(halves)}")
    scale, *fitted = (_scale(each, num_outputs) for each in (content["scale"], *halves))
    parts = content.get("parts", [])
    if not isinstance(parts, list) or not all(map(is_whole, parts)):
        raise ValueError(f"its `parts` are {quoted(parts)}")
    return Calibration(
        records=content["records"],
        scale=scale,
        halves=fitted,
        evidence=_evidence(content),
        parts=tuple(parts),
    )


def _scale(content: object, num_outputs: int) -> Scale:
    found = content if isinstance(content, dict) else {}
    temperatures, power = found.get("temperatures"), found.get("power")
    if not isinstance(temperatures, list) or len(temperatures) != num_outputs:
        raise ValueError(f"it has no temperature for each of {num_outputs} outputs")
    for value in temperatures:
        if not (fits(value, float) and LEAST_TEMPERATURE <= value <= GREATEST_TEMPERATURE):
            raise ValueError(f"a temperature is {quoted(value)}")
    if not (fits(power, float) and LEAST_POWER <= float(power or 0) <= GREATEST_POWER):
        raise ValueError(f"its `power` is {quoted(power)}")
    return Scale(temperatures=temperatures, power=float(power or 0))


def _evidence(content: Mapping[str, Any]) -> Evidence | None:
    """Returns the evidence; None if it is of other thresholds than ours."""
    if content.get("thresholds") != list(THRESHOLDS):
        return None
    found = content.get("evidence")
    accepted, wrong = (
        found.get(name) if isinstance(found, dict) else None for name in ("accepted", "wrong")
    )
    if not (_are_counts(accepted) and _are_counts(wrong)):
        raise ValueError("its `evidence` does not count the records above each threshold")
    if accepted[-1] != content["records"] or any(map(int.__gt__, wrong, accepted)):
        raise ValueError("its `evidence` counts more records than there are")
    return Evidence(accepted=accepted, wrong=wrong)


def _are_counts(numbers: object) -> TypeGuard[list[int]]:
    """Returns whether a value counts something above each threshold."""
    return (
        isinstance(numbers, list)
        and len(numbers) == len(THRESHOLDS)
        and all(map(is_whole, numbers))
        and numbers == sorted(numbers)
    )
