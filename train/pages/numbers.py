"""Numbers as people read them, and the ticks of an axis."""

from __future__ import annotations

import math

_NORMAL_95 = 1.959964  # 97.5 % of a normal distribution lie below
_MINUTE, _HOUR = 60, 3600
_LEAST_STEP = 1e-300  # of an axis: below, a power of ten is no normal number


def percent(share: float) -> str:
    """Returns a share in [0, 1] as a percentage; only all is 100.0%, and only nothing 0.0%."""
    text = f"{share:.1%}"
    if text == "100.0%" and share < 1:
        return f"{math.floor(share * 1e4) / 100:.2f}%"
    return f"{share:.2%}" if text == "0.0%" and share > 0 else text


def duration(seconds: float) -> str:
    """Returns a time in the unit that suits it."""
    if seconds < _MINUTE:
        return f"{seconds:.0f} s"
    if seconds < _HOUR:
        return f"{seconds / _MINUTE:.1f} min"
    return f"{seconds / _HOUR:.1f} h"


def size(num_bytes: float) -> str:
    """Returns a number of bytes in the unit that suits it."""
    for unit in ("B", "kB", "MB"):
        if num_bytes < 999.5:
            return f"{num_bytes:.3g} {unit}"
        num_bytes /= 1000
    return f"{num_bytes:.3g} GB"


def compact(value: float) -> str:
    """Returns a number in a few characters, for ticks and legends."""
    if value == 0:
        return "0"
    if abs(value) >= 1e4:
        return f"{value:,.0f}" if abs(value) < 1e6 else f"{value / 1e6:.3g} M"
    return f"{value:.0e}".replace("e-0", "e-") if abs(value) < 1e-3 else f"{value:.4g}"


def interval(share: float, count: int) -> tuple[float, float]:
    """Returns between what bounds the true share lies, with 95 % confidence.

    Wilson: Probable Inference, the Law of Succession, and Statistical Inference, 1927. Unlike the
    usual formula it holds near 0 and 1, where good models are.

    Args:
        share: What was observed. In [0, 1].
        count: Of how many. At least 1.
    """
    square = _NORMAL_95**2 / count
    middle = (share + square / 2) / (1 + square)
    half = math.sqrt(square * share * (1 - share) + square**2 / 4) / (1 + square)
    return max(0.0, middle - half), min(1.0, middle + half)


def ticks(low: float, high: float, count: int = 5, least_step: float = 0.0) -> list[float]:
    """Returns round numbers from `low` or below to `high` or above.

    Args:
        low: Least value.
        high: Greatest value; may be `low`.
        count: About how many are wanted.
        least_step: No two are nearer, for instance 1 for whole numbers.
    """
    span = (high - low) or abs(high) or 1.0
    rough = max(span / count, least_step, _LEAST_STEP)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * nice for nice in (1, 2, 5, 10) if power * nice >= rough * 0.999)
    step = max(step, least_step)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [float(f"{index * step:.12g}") for index in range(first, max(last, first + 1) + 1)]
