"""The image files that the words of a command line mean, in an order that is always the same."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator

STDIN = "-"
"""Stands for a list of words that comes through stdin, one a line."""


def image_paths(words: Iterable[str], stdin: Iterable[str]) -> Iterator[str]:
    """Yields paths as they are found, so that a million of them take no memory.

    Args:
        words: Files; folders, which are walked; globs, with `**` for any folders, which the
            shell has left as they are; and `-`. What is none of these is a path all the same:
            reading it tells what is wrong.
        stdin: The lines that `-` stands for.

    Yields:
        Paths in the order of the words; of a folder or a glob sorted by name, folder by folder.
        Names that begin with a dot are passed over, unless they are given.
    """
    for word in words:
        if word == STDIN:
            lines = map(_listed, stdin)
            yield from image_paths((line for line in lines if line not in ("", STDIN)), ())
        elif os.path.isdir(word):
            yield from _walk(word)
        elif glob.has_magic(word) and not os.path.lexists(word):
            yield from _expand(word)
        else:
            yield word


def _listed(line: str) -> str:
    """Returns the word on a line of a list, which Windows may have ended with CR and LF."""
    word = line.removesuffix("\n")
    return word if os.path.lexists(word) else word.removesuffix("\r")


def _expand(pattern: str) -> Iterator[str]:
    """Yields what a glob matches, or the glob itself."""
    found = sorted(glob.iglob(pattern, recursive=True))
    for path in found or [pattern]:
        if not os.path.isdir(path):
            yield path
        elif "**" not in pattern:  # which names what is inside such a folder as well
            yield from _walk(path)


def _walk(folder: str) -> Iterator[str]:
    """Yields the files below a folder; a folder that cannot be listed is yielded itself."""
    try:
        with os.scandir(folder) as entries:
            visible = [entry for entry in entries if not entry.name.startswith(".")]
    except OSError:
        yield folder
        return
    for entry in sorted(visible, key=lambda entry: entry.name):
        if entry.is_dir(follow_symlinks=False):  # a link may lead back up
            yield from _walk(entry.path)
        else:
            yield entry.path
