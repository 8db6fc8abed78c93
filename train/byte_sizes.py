"""Sizes in bytes, as people write and read them."""

from __future__ import annotations

import re

from train.errors import UsageError

_TEXT = re.compile(r"(\d+(?:\.\d+)?) ?(?:([kmgtp])(i?)b?|b)?", re.IGNORECASE | re.ASCII)
_POWERS = " kmgtp"


def parse_bytes(text: str) -> int:
    """Returns a number of bytes that is written like `200GB`, `1.5 TB`, `512MiB` or `4096`.

    Raises:
        UsageError: It is not written so.
    """
    found = _TEXT.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"a size is written like 200GB, 1.5TB or 512MiB, got {text!r}.")
    number, unit, binary = found.groups()
    return round(float(number) * (1024 if binary else 1000) ** _POWERS.index((unit or " ").lower()))


def show_bytes(size: float) -> str:
    """Returns a number of bytes for people: three digits and a decimal unit."""
    units = ["bytes", "kB", "MB", "GB", "TB", "PB"]
    while size >= 999.5 and len(units) > 1:
        size /= 1000
        units.pop(0)
    return f"{size:.3g} {units[0]}"
