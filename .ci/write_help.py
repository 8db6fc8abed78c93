"""Writes what `train VERB --help` prints into the pages, below the lines that ask for it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMAND = re.compile(
    r"^    \$ ((?:train|convert) \w+) --help\n(?:(?:    .*)?\n)*?(?=\S|    \$ )", re.MULTILINE
)
COLUMNS = "100"  # as wide as the longest lines of the pages


def help_block(command: str) -> str:
    """Returns a command line and what it prints, indented as in the pages."""
    done = subprocess.run(
        [sys.executable, "-m", *command.split(), "--help"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "COLUMNS": COLUMNS},
    )
    lines = [f"$ {command} --help", *done.stdout.rstrip().splitlines()]
    return "".join(f"    {line}".rstrip() + "\n" for line in lines) + "\n"


def main() -> None:
    """Brings all blocks up to date."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        page.write_text(COMMAND.sub(lambda match: help_block(match[1]), text), encoding="utf-8")


if __name__ == "__main__":
    main()
