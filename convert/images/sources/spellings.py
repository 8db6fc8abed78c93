"""Paths that nearly match their file: other Unicode forms, backslashes, blanks, no suffix.

Lists are written on one system and read on another. A path that exists as written costs
nothing here; other spellings that were found are reported, so that they can be counted.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator
from itertools import product

from convert.errors import ImageError
from convert.images.formats.suffixes import SUFFIXES, is_image_name
from convert.images.oddities import Oddity
from convert.images.sources.file_versions import Stamp
from convert.images.sources.reader import Reader, Stamps, names_folder

Edit = tuple[Oddity, Callable[[str], str]]
Spelling = tuple[str, tuple[Oddity, ...]]
"""A path, and what was done to it."""

OnSpelled = Callable[[str, tuple[Oddity, ...]], object]
"""Takes the path as the manifest spells it, and what helped."""

# One of each group at most is tried together with those of the others; later groups change sooner.
_EDITS: tuple[tuple[Edit, ...], ...] = (
    (("spelled_blanks", str.strip),),
    (("spelled_backslash", lambda path: path.replace("\\", "/")),),
    (
        ("spelled_nfc", lambda path: unicodedata.normalize("NFC", path)),
        ("spelled_nfd", lambda path: unicodedata.normalize("NFD", path)),
    ),
)
_NAMED = 5  # of several candidates: enough to see what they have in common


class SpellingReader:
    """Reads files by the next best spelling where the manifest's is not there.

    Args:
        reader: Reads a file by its exact path.
        on_spelled: Called when another spelling of a path is there; by several threads.
        stamps: Where the reader notes files' stamps; gets them under the manifest's spelling too.
    """

    def __init__(
        self,
        reader: Reader,
        on_spelled: OnSpelled = lambda path, helped: None,
        stamps: Stamps | None = None,
    ) -> None:
        self._reader = reader
        self._on_spelled = on_spelled
        self._stamps: Stamps = {} if stamps is None else stamps

    def read(self, path: str) -> bytes:
        """Returns a whole source file; see `Reader`."""
        try:
            return self._reader.read(path)
        except ImageError as error:
            if error.reason != "missing":
                raise
            found = self._find(path)
            if found is None:
                raise
        spelled, helped = found
        content = self._reader.read(spelled)
        self._on_spelled(path, helped)
        if spelled in self._stamps:
            self._stamps[path] = self._stamps[spelled]
        return content

    def stamp(self, path: str, began: float) -> Stamp | None:
        """Returns the stamp of the file that some spelling of a path names; see `Reader`."""
        stamp = self._reader.stamp(path, began)
        if stamp is not None:
            return stamp
        try:
            found = None if self._reader.is_there(path) else self._find(path)
        except ImageError:
            return None
        return None if found is None else self._reader.stamp(found[0], began)

    def is_there(self, path: str) -> bool:
        """Returns whether anything stands under some spelling of a path; see `Reader`."""
        return self._reader.is_there(path) or self._find(path) is not None

    def _find(self, path: str) -> Spelling | None:
        """Returns the first other spelling that is there.

        Raises:
            ImageError: It is outside the fence, or several suffixes are there.
        """
        known = list(spellings(path))
        for spelling in known:
            if self._reader.is_there(spelling[0]):
                return spelling
        for base, helped in [(path, ()), *known]:
            if not is_image_name(base) and (name := self._with_suffix(base)) is not None:
                return name, (*helped, "spelled_suffix")
        return None

    def _with_suffix(self, path: str) -> str | None:
        """Returns the only file that is named as a path but for its suffix."""
        if names_folder(path):
            return None
        found = [name for suffix in SUFFIXES for name in self._in_either_case(path, suffix)]
        if len(found) > 1:
            listed = ", ".join(found[:_NAMED]) + ", ..." * (len(found) > _NAMED)
            raise ImageError("missing", f"no such file, but several with a suffix: {listed}")
        return found[0] if found else None

    def _in_either_case(self, path: str, suffix: str) -> list[str]:
        """Returns the files that are named as a path with a suffix, in small or large letters."""
        small, large = path + suffix, path + suffix.upper()
        found = [name for name in (small, large) if self._reader.is_there(name)]
        if len(found) == 2 and self._reader.read(small) == self._reader.read(large):
            return [small]  # on a disk that does not tell letters' case they are one file
        return found


def spellings(path: str) -> Iterator[Spelling]:
    """Yields other ways of writing a path, those with the fewest changes to it first."""
    ways = product(*[(None, *group) for group in _EDITS])
    seen = {path}
    for edits in sorted(ways, key=lambda edits: len(edits) - edits.count(None)):
        spelled, helped = path, list[Oddity]()
        for oddity, edit in filter(None, edits):
            changed = edit(spelled)
            if changed != spelled:
                spelled = changed
                helped.append(oddity)
        if spelled not in seen and not names_folder(spelled):
            seen.add(spelled)
            yield spelled, tuple(helped)
