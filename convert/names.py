"""A manifest out of file names, for folders of images that carry their labels in their names."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator

from convert.errors import UsageError
from convert.filesystem import FileSystem
from convert.local import LocalFileSystem
from convert.manifest import Manifest

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp")
"""Files with other names are no images, and no rows."""

TEXT_COLUMN = "text"
"""The column of a group without a name."""

_LOCAL = LocalFileSystem()


def manifest_from_names(folder: str, expression: str, files: FileSystem = _LOCAL) -> Manifest:
    """Makes a manifest of the image files below a folder, in the order of their paths.

    Args:
        folder: The folder. Its hidden files and folders are passed over.
        expression: Regular expression that is searched for in each file's name or, if it has a
            slash, in its path below the folder. Its named groups become columns; without any,
            its first group becomes the column `text`.
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
    paths = sorted(_image_paths(folder, files))
    if not paths:
        raise UsageError(f"{folder}: no image in it; they end in {', '.join(SUFFIXES)}.")
    pattern = re.compile(expression)
    whole = "/" in expression
    matches = [pattern.search(path if whole else path.rpartition("/")[2]) for path in paths]
    if not any(matches):
        raise UsageError(
            f"{folder}: --from-names {expression!r} matches none of {len(paths):,} names, "
            f"as {paths[0]!r}."
        )
    groups: dict[str, str | int] = {name: name for name in pattern.groupindex}
    columns = {
        name: pa.array([(m and m[group]) or "" for m in matches], pa.large_string())
        for name, group in (groups or {TEXT_COLUMN: 1}).items()
    }
    if "path" in columns:
        raise UsageError("--from-names cannot have a group named 'path': that is the file's.")
    return Manifest(
        path=folder,
        columns={"path": pa.array(paths, pa.large_string()), **columns},
        num_rows=len(paths),
        sha256=hashlib.sha256("\n".join(paths).encode()).hexdigest(),
    )


def _image_paths(folder: str, files: FileSystem) -> Iterator[str]:
    """Yields the paths of images below a folder, with slashes."""
    try:
        for path in files.files_below(folder):
            if not path.lower().endswith(SUFFIXES):
                continue
            try:
                path.encode()
            except UnicodeEncodeError as error:
                shown = os.fsencode(path).decode("utf-8", "backslashreplace")
                raise UsageError(
                    f"{folder}: the name {shown!r} is not UTF-8. Rename the file."
                ) from error
            yield path
    except OSError as error:
        raise UsageError(f"{error.filename}: cannot be listed: {error.strerror}.") from error
