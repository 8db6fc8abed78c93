"""Lines that begin with the time, as the commands print them off a terminal."""

from __future__ import annotations

import re

_TIME = re.compile(r"^\d\d:\d\d:\d\d (?=(convert|train): )", re.MULTILINE)


def untimed(text: str) -> str:
    """Returns what a command printed without the times, which differ each time."""
    return _TIME.sub("", text)
