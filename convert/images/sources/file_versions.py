"""Fingerprints of a shard's source files: a few bytes that show later whether they changed."""

from __future__ import annotations

import hashlib
import time
from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field

import google_crc32c

Stamp = tuple[int, int]
"""Size of a file in bytes, and its modification time in nanoseconds."""

_ABSENT: Stamp = (-1, 0)  # stands for a file that there is not
_DIGITS = 32  # of a digest: 128 bits


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """The source files of a shard.

    Attributes:
        versions: Digest of their sizes and times, in the order of the rows.
        contents: Digest of their content.
        began: When the first was read, in seconds since 1970; not compared.
    """

    versions: str
    contents: str
    began: float = field(compare=False)

    @classmethod
    def from_json(cls, content: object) -> Origin | None:
        """Returns an origin from JSON values; None if it was not known.

        Raises:
            TypeError, ValueError: They are not an origin's.
        """
        if content is None:
            return None
        if not isinstance(content, dict):
            raise TypeError("no object")
        origin = cls(**content)
        if not (isinstance(origin.versions, str) and isinstance(origin.contents, str)):
            raise ValueError("a digest is no text")
        if type(origin.began) not in (int, float):
            raise ValueError("a time is no number")
        return origin


class OriginLog:
    """Notes down which files a shard is being made from.

    Attributes:
        stamps: {path: size and time of the file}; filled by whoever reads.
    """

    def __init__(self) -> None:
        self.stamps: dict[str, Stamp] = {}
        self._checksums = array("q")
        self._began = time.time()

    def add(self, content: object) -> None:
        """Notes down a row's file: its bytes, or what came instead of them."""
        checksum = google_crc32c.value(content) if isinstance(content, bytes) else 0
        self._checksums.append(checksum)

    def origin(self, paths: Iterable[str]) -> Origin:
        """Digests the versions of these paths' files, those of all rows, and their contents."""
        return Origin(
            versions=versions_digest(map(self.stamps.get, paths)),
            contents=contents_digest(self._checksums),
            began=self._began,
        )


def versions_digest(stamps: Iterable[Stamp | None]) -> str:
    """Returns the digest of files' sizes and times; None stands for a file that is not there."""
    numbers = array("q")
    for stamp in stamps:
        numbers.extend(stamp or _ABSENT)
    return _digest(numbers)


def contents_digest(checksums: Iterable[int]) -> str:
    """Returns the digest of files' contents.

    Args:
        checksums: CRC-32C of each file; 0 for one that cannot be read.
    """
    return _digest(array("q", checksums))


def _digest(numbers: array[int]) -> str:
    return hashlib.sha256(numbers.tobytes()).hexdigest()[:_DIGITS]
