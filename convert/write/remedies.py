"""Advice for rows that are left out, for each reason."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
from collections import Counter
from collections.abc import Sequence
from itertools import islice

from convert.errors import PLAN_REASONS, Reason
from convert.plan.rejected_rows import Quarantined
from convert.storage.hdfs.address import SCHEME, split_address
from convert.storage.places import absolute, is_remote, join

Rows = Sequence[Quarantined]

_NAMED = 3  # reasons: who has more kinds of trouble mends the commonest first

_OF_IMAGES = re.compile(r"(?i)ima?ge?s?")
_LOOKED_AT = 1000  # names in a folder, in search of one with the images

# The details of files that have too many pixels, or more bytes than those can take.
_MORE_THAN_ALLOWED = re.compile(r"(is|are) more than \d+( pixels)?$")

_DAMAGE = "fetch or make these files again; --lenient keeps images that decoders only warn about"
_REMEDIES: dict[Reason, str] = {
    "label_missing": "give each row a label; with --from-names, an expression that each name "
    "matches",
    "label_unknown": "--add-classes appends them to the vocabulary's classes, or leave "
    "--vocabulary out",
    "label_rejected": "give the right text of each in the file of --corrections",
    "path_missing": "name an image file in each row",
    "box_invalid": "write whole numbers with left < right and top < bottom into the box columns",
    "not_a_file": "name image files, neither folders nor devices",
    "unreadable": "give this user the right to read the files and their folders",
    "empty_file": "fetch or make the empty files again",
    "unknown_format": "look at one of these files, which is no image or of another format, and "
    "save it as PNG or JPEG",
    "truncated": _DAMAGE,
    "damaged": _DAMAGE,
    "unsupported_mode": "save these images as RGB or grey PNGs",
    "unsupported_here": "`convert --version` lists what this installation can decode, "
    "`make system-packages` prints what to install",
    "box_outside": "--pad-crop fills with black where the box reaches past the image, or give a "
    "--crop that is inside every image",
    "worker_died": "save these images again in another program, or delete their rows",
}


def remedies(quarantined: Rows, num_rows: int, root: str) -> str:
    """Returns the remedies for the commonest reasons, the commonest first, as one line.

    Args:
        quarantined: The rows that are left out. At least one.
        num_rows: Of the manifest.
        root: Folder that its paths start from.
    """
    counts = Counter(row.reason for row in quarantined)
    texts: dict[str, list[Reason]] = {}
    for reason, _ in counts.most_common(_NAMED):
        rows = [row for row in quarantined if row.reason == reason]
        texts.setdefault(_remedy(reason, rows, quarantined, num_rows, root), []).append(reason)
    return "; ".join(f"for {' and '.join(reasons)}, {text}" for text, reasons in texts.items())


def _remedy(reason: Reason, rows: Rows, quarantined: Rows, num_rows: int, root: str) -> str:
    """Returns the remedy for one reason.

    Args:
        reason: The reason.
        rows: The rows that have it.
        quarantined: All rows that are left out.
        num_rows: Of the manifest.
        root: Folder that its paths start from.
    """
    if reason == "label_length":
        return _other_length(rows)
    if reason == "too_large":
        return _fewer_parts_or_more_pixels(rows)
    if reason == "outside_root":
        return _wider_fence(rows[0].path, root)
    if reason == "missing":
        num_planned = sum(row.reason in PLAN_REASONS for row in quarantined)
        return _other_root(rows, root, is_all=len(rows) + num_planned == num_rows)
    return _REMEDIES[reason]


def _other_length(rows: Rows) -> str:
    """Returns how texts of several lengths are converted."""
    numbers = {int(number) for row in rows for number in re.findall(r"\d+", row.detail)}
    if "at most" in rows[0].detail:
        return f"--text-length {max(numbers)} holds the longest text"
    return (
        f"--pad-label takes texts of all lengths (here {min(numbers)} to {max(numbers)} "
        "characters) and fills the shorter ones up with a blank class, or --text-length N chooses "
        "another length"
    )


def _fewer_parts_or_more_pixels(rows: Rows) -> str:
    """Returns what helps images of too many pixels, and those of too many other things."""
    num_by_pixels = sum(bool(_MORE_THAN_ALLOWED.search(row.detail)) for row in rows)
    texts = []
    if num_by_pixels:
        texts.append("--max-pixels N takes larger images")
    if num_by_pixels < len(rows):
        others = "the others" if num_by_pixels else "these images"
        texts.append(f"save {others} again in an image editor")
    return ", ".join(texts)


def _other_root(rows: Rows, root: str, *, is_all: bool) -> str:
    """Returns where files that are not there may be."""
    tried = place_of(root, rows[0].path)
    found = _folder_with(rows[0].path, root) if is_all else None
    if found is not None:
        return f"--root {shlex.quote(found)} names the folder where {rows[0].path} is"
    if is_all:
        return (
            f"--root DIR names the folder that paths start from: none of them was found, {tried} "
            "was tried first"
        )
    return (
        f"--root DIR names the folder that paths start from, if it is not {root} "
        f"({len(rows):,} {'file is' if len(rows) == 1 else 'files are'} missing there)"
    )


def _folder_with(path: str, root: str) -> str | None:
    """Returns a folder near the root from which a path leads to a file, if there is one."""
    if is_remote(root) or os.path.isabs(path):
        return None
    above = os.path.dirname(os.path.abspath(root))
    # Of other folders beside it, one with equal names may hold other pictures.
    beside = [f for f in _folders_in(above) if _OF_IMAGES.search(os.path.basename(f))]
    for folder in (above, *_folders_in(root), *beside):
        if os.path.isfile(os.path.join(folder, path)):
            return min(folder, os.path.relpath(folder), key=len)
    return None


def _folders_in(folder: str) -> list[str]:
    """Returns the folders in a folder, not too many."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        return sorted(e.path for e in islice(entries, _LOOKED_AT) if e.is_dir())
    return []


def _wider_fence(path: str, root: str) -> str:
    """Returns how the file that a path leads to comes in."""
    place = place_of(root, path)
    if not is_remote(root):
        place = os.path.realpath(os.path.join(root, path))
        if not os.path.exists(place):
            if os.path.isabs(path):
                return f"make the paths relative to --root: there is no {place} here"
            return f"--root DIR names the folder that paths start from: there is no {place}"
        place = min(place, os.path.relpath(place), key=len)
    folder = os.path.dirname(place) or "."
    return f"--allow {shlex.quote(folder)} lets in files below that folder (again for more folders)"


def place_of(root: str, path: str) -> str:
    """Returns where a path of the manifest is looked for, whole."""
    if not is_remote(root):
        return os.path.abspath(os.path.join(root, path))
    if path.startswith("/"):
        return absolute(f"{SCHEME}{split_address(root)[0]}{path}")
    return absolute(join(root, path))
