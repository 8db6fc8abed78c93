"""Sizes in bytes, as people write and read them."""

from __future__ import annotations

import re

from convert.errors import UsageError

_TEXT = re.compile(r"(\d+(?:\.\d+)?) ?(?:([kmgtp])(i?)b?|b)?", re.IGNORECASE | re.ASCII)
_LONGEST = 100  # characters: a few hundred digits would be infinite
_POWERS = " kmgtp"
_UNITS = ("bytes", "kB", "MB", "GB", "TB", "PB")


def parse_bytes(text: str) -> int:
    """Returns a number of bytes that is written like `200GB`, `1.5 TB`, `512MiB` or `4096`.

    Raises:
        UsageError: It is not written so.
    """
    found = _TEXT.fullmatch(text.strip())
    if found is None or len(text) > _LONGEST:
        raise UsageError(f"a size is written like 200GB, 1.5TB or 512MiB, got {text!r}.")
    number, unit, binary = found.groups()
    power = _POWERS.index((unit or " ").lower())
    return round(float(number) * float((1024 if binary else 1000) ** power))


def show_bytes(size: float, unit: str | None = None, decimals: int | None = None) -> str:
    """Returns a number of bytes for people, in a decimal unit.

    Args:
        size: The number.
        unit: `kB`, `MB` and so on. None: the one that leaves three digits before the point.
        decimals: Digits after the point. None: three digits in all.
    """
    if unit is None:
        most = 999.5 if decimals is None else 1000
        unit = next((unit for power, unit in enumerate(_UNITS) if size < most * 1000**power), "PB")
    value = size / 1000 ** _UNITS.index(unit)
    if decimals is None:
        return f"{value:.3g} {unit}"
    return f"{value:,.{decimals if unit != 'bytes' else 0}f} {unit}"
