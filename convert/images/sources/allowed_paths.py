"""Restricts the manifest's paths to the root and the folders of `--allow`."""

from __future__ import annotations

import posixpath

from convert.errors import ImageError


class Fence:
    """Decides which files may be read.

    Args:
        root: The root, whole and without links.
        allow: Further folders of the same kind.
    """

    def __init__(self, root: str, allow: tuple[str, ...] = ()) -> None:
        self._root = root
        self._inside = tuple(folder.rstrip("/") + "/" for folder in (root, *allow))

    def admits(self, path: str) -> bool:
        """Returns whether a path, whole and without links, lies inside."""
        return path.startswith(self._inside)

    def refusal(self, path: str) -> ImageError:
        """Returns the error for a path that lies outside; it names no place of this machine.

        Args:
            path: Whole; on the same file system as the root.
        """
        seen = posixpath.relpath(path, self._root)
        return ImageError(
            "outside_root",
            f"leads out of --root, to {seen} from there; --allow DIR lets a further folder in",
        )
