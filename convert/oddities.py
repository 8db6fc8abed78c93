"""What is odd about sources that can be converted all the same: counted, with an example each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from convert.errors import printable

Oddity = Literal[
    "spelled_nfc",
    "spelled_nfd",
    "spelled_backslash",
    "spelled_blanks",
    "spelled_suffix",
    "dropped_alpha",
    "oriented",
]
"""Something that a user may want to know of a source."""

ODDITIES: tuple[Oddity, ...] = get_args(Oddity)

_FOUND: dict[Oddity, str] = {
    "spelled_nfc": "in Unicode form NFC, as composed letters",
    "spelled_nfd": "in Unicode form NFD, as letters and marks",
    "spelled_backslash": "with / in place of \\",
    "spelled_blanks": "without the blanks around them",
    "spelled_suffix": "with the suffix of an image file added",
}
"""How files were found whose path was not there as the manifest spells it."""

_WHAT: dict[Oddity, str] = {
    "dropped_alpha": "had transparency, which was dropped; --alpha black or --alpha white would "
    "paint them on a ground",
    "oriented": "had an EXIF orientation, which was not applied; --exif would turn them",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Sighting:
    """How often something odd was seen.

    Attributes:
        count: Sources.
        row: Manifest row of the first of them.
        path: Its path as the manifest spells it.
    """

    count: int
    row: int
    path: str

    def plus(self, other: Sighting) -> Sighting:
        """Returns both as one."""
        first = min(self, other, key=lambda sighting: sighting.row)
        return Sighting(count=self.count + other.count, row=first.row, path=first.path)


Sightings = Mapping[Oddity, Sighting]


def merge_sightings(parts: Iterable[Sightings]) -> dict[Oddity, Sighting]:
    """Returns what was seen in several shards, in the order of `ODDITIES`."""
    merged: dict[Oddity, Sighting] = {}
    for part in parts:
        for oddity, sighting in part.items():
            seen = merged.get(oddity)
            merged[oddity] = sighting if seen is None else seen.plus(sighting)
    return {oddity: merged[oddity] for oddity in ODDITIES if oddity in merged}


def sightings_from_json(content: Mapping[str, Mapping[str, Any]]) -> dict[Oddity, Sighting]:
    """Returns what `dataclasses.asdict` made of sightings.

    Raises:
        TypeError: They are none.
    """
    return merge_sightings([{o: Sighting(**content[o]) for o in ODDITIES if o in content}])


def oddity_lines(seen: Sightings, *, exif: bool) -> list[str]:
    """Returns a line for each kind that was seen.

    Args:
        seen: How often each was.
        exif: Whether EXIF orientations were applied.
    """
    lines = []
    for oddity, sighting in seen.items():
        if oddity in _FOUND:
            paths = "1 path was" if sighting.count == 1 else f"{sighting.count:,} paths were"
            lines.append(f"{paths} found {_FOUND[oddity]} (such as {printable(sighting.path)})")
            continue
        images = "1 image" if sighting.count == 1 else f"{sighting.count:,} images"
        if oddity == "oriented" and exif:
            lines.append(f"{images} turned as the EXIF orientation says")
        else:
            lines.append(f"warning: {images} {_WHAT[oddity]} (such as {printable(sighting.path)})")
    return lines
