"""Makes a manifest from the names of image files that contain the labels."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections import Counter

from convert.errors import UsageError
from convert.images.formats.suffixes import SUFFIXES, is_image_name
from convert.plan.manifest import Manifest
from convert.storage.interface import FileSystem
from convert.storage.local import LocalFileSystem

TEXT_COLUMN = "text"
"""The column of a group without a name."""

_LOCAL = LocalFileSystem()
_KINDS_SHOWN = 8  # of files that are passed over


def manifest_from_names(folder: str, expression: str, files: FileSystem = _LOCAL) -> Manifest:
    """Makes a manifest of the image files below a folder, in the order of their paths.

    Args:
        folder: The folder. Its hidden files and folders are passed over.
        expression: Regular expression that is searched for in each file's name or, if it has a
            slash, in its path below the folder, each in Unicode form NFC. Its named groups become
            columns; without any, its only group becomes the column `text`.
        files: Where the folder is.

    Returns:
        The manifest; columns are empty for a file whose name does not match. Its digest is that
        of the paths.

    Raises:
        UsageError: There is no such folder, it has no image, or no name matches.
    """
    import pyarrow as pa

    if not files.is_folder(folder):
        raise UsageError(f"{folder}: no such folder. --from-names takes a folder of images.")
    paths, passed = _list_images(folder, files)
    if not paths:
        holds = _listed(passed) or "it is empty"
        raise UsageError(f"{folder}: no image in it: {holds}. Images end in {', '.join(SUFFIXES)}.")
    # File systems of Macs take names apart into letters and marks; labels are composed.
    pattern = re.compile(unicodedata.normalize("NFC", expression))
    names = paths if "/" in expression else [path.rpartition("/")[2] for path in paths]
    names = [name if name.isascii() else unicodedata.normalize("NFC", name) for name in names]
    matches = [pattern.search(name) for name in names]
    if not any(matches):
        raise UsageError(
            f"{folder}: --from-names '{expression}' matches none of {len(paths):,} names, "
            f"such as {paths[0]}."
        )
    groups: dict[str, str | int] = {name: name for name in pattern.groupindex}
    found = groups or {TEXT_COLUMN: 1}
    columns = {
        name: pa.array([(m and m[group]) or "" for m in matches], pa.large_string())
        for name, group in found.items()
    }
    if "path" in columns:
        raise UsageError("--from-names cannot have a group named 'path': that is the file's.")
    example = _example(names, matches, found, is_named=bool(groups))
    return Manifest(
        path=folder,
        columns={"path": pa.array(paths, pa.large_string()), **columns},
        num_rows=len(paths),
        sha256=hashlib.sha256("\n".join(paths).encode()).hexdigest(),
        notes=(example, *([f"passed over {_listed(passed)}"] if passed else [])),
    )


def _example(
    names: list[str],
    matches: list[re.Match[str] | None],
    groups: dict[str, str | int],
    *,
    is_named: bool,
) -> str:
    """Returns a line that shows what was read out of one name."""
    name, match = next((n, m) for n, m in zip(names, matches, strict=True) if m)
    values = {column: match[group] or "" for column, group in groups.items()}
    shown = " ".join(f"{column}={value}" if is_named else value for column, value in values.items())
    count = "1 name" if len(names) == 1 else f"{len(names):,} names"
    kinds: Counter[str] = Counter()
    for kind, number in Counter(name[name.rindex(".") :] for name in names).items():
        kinds[kind.lower()] += number
    of_kinds = f" ({_listed(kinds)})" * (len(kinds) > 1)
    without = sum(match is None for match in matches)
    others = f", of which {without:,} {'does' if without == 1 else 'do'} not match" * bool(without)
    return f"{count}{of_kinds}{others}: {name} -> {shown}"


def _list_images(folder: str, files: FileSystem) -> tuple[list[str], Counter[str]]:
    """Returns the paths of images below a folder, sorted, with slashes; and what else there is."""
    passed: Counter[str] = Counter()
    paths: list[str] = []
    try:
        for path in files.files_below(folder, lambda kind: passed.update([kind])):
            if is_image_name(path):
                paths.append(path)
            else:
                passed[_suffix(path)] += 1
    except OSError as error:
        raise UsageError(
            f"{error.filename}: cannot be listed: {error.strerror}. "
            "Make it readable, or move it out of the folder."
        ) from error
    _require_utf8(folder, paths)
    return sorted(paths), passed


def _suffix(path: str) -> str:
    """Returns how a name ends: `.png`, or nothing."""
    suffix = os.path.splitext(path)[1].lower()
    return "" if suffix == "." else suffix


def _require_utf8(folder: str, paths: list[str]) -> None:
    """Raises unless a manifest can hold these paths."""
    try:
        "".join(paths).encode()
    except UnicodeEncodeError as error:
        bad = next(path for path in paths if any("\ud800" <= letter <= "\udfff" for letter in path))
        shown = os.fsencode(bad).decode("utf-8", "backslashreplace")
        raise UsageError(f"{folder}: the name {shown!r} is not UTF-8. Rename the file.") from error


def _listed(passed: Counter[str]) -> str:
    """Lists the files that were passed over: `25 .txt, 1 .db, 2 hidden`."""
    suffixes = {kind: count for kind, count in passed.items() if kind.startswith(".")}
    commonest = sorted(suffixes, key=lambda suffix: (-suffixes[suffix], suffix))
    shown = [f"{suffixes[suffix]:,} {suffix}" for suffix in commonest[:_KINDS_SHOWN]]
    rest = sum(suffixes[suffix] for suffix in commonest[_KINDS_SHOWN:])
    for count, what in (
        (rest, "with other suffixes"),
        (passed[""], "without a suffix"),
        (passed["linked"], "linked folder" if passed["linked"] == 1 else "linked folders"),
        (passed["hidden"], "hidden"),
    ):
        shown += [f"{count:,} {what}"] * bool(count)
    return ", ".join(shown)
