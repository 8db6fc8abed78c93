"""What the command lines of all benchmarks of results have in common."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks.results.trial import OWN_FLAGS

DEFAULT_CACHE = Path(tempfile.gettempdir()) / "shardfeed-results"


def make_parser(name: str, doc: str | None) -> argparse.ArgumentParser:
    """Returns a parser that knows the flags that all have.

    Args:
        name: Of the module.
        doc: Its docstring.
    """
    description = (doc or "").split("\n")[0]
    parser = argparse.ArgumentParser(prog=f"python -m {name}", description=description)
    help_text = "folder that images, datasets and runs are kept in (%(default)s)"
    parser.add_argument("--cache", type=Path, default=DEFAULT_CACHE, help=help_text)
    return parser


def parse(parser: argparse.ArgumentParser) -> tuple[argparse.Namespace, tuple[str, ...]]:
    """Parses the command line up to `--`, and returns the flags of `train` after it."""
    words = sys.argv[1:]
    end = words.index("--") if "--" in words else len(words)
    flags = words[end + 1 :]
    for flag in OWN_FLAGS:
        if any(word.partition("=")[0] == flag for word in flags):
            parser.error(f"{flag} is set by the benchmark")
    arguments = parser.parse_args(words[:end])
    arguments.cache = arguments.cache.resolve()
    return arguments, tuple(flags)
