"""Writes what `train VERB --help` prints into README.md, below the lines that ask for it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).resolve().parent.parent / "README.md"
COMMAND = re.compile(
    r"^    \$ ((?:train|convert) \w+) --help\n(?:(?:    .*)?\n)*?(?=\S)", re.MULTILINE
)
COLUMNS = "100"  # as wide as README's longest lines


def help_block(command: str) -> str:
    """Returns a command line and what it prints, indented as in README."""
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
    text = README.read_text(encoding="utf-8")
    README.write_text(COMMAND.sub(lambda match: help_block(match[1]), text), encoding="utf-8")


if __name__ == "__main__":
    main()
