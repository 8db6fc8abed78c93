"""Counts oddities of sources that can be converted all the same, each with an example."""

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
    "one_colour",
    "nearly_black",
    "further_pages",
    "few_bits",
    "cmyk_unmarked",
    "no_end_marker",
    "damaged_kept",
    "other_shape",
    "turned_shape",
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
    "dropped_alpha": "had transparency, which was dropped; --alpha white (or black) would paint "
    "them on a background of that colour",
    "oriented": "had an EXIF orientation, which was not applied; --exif would turn them",
    "one_colour": "had one colour only, inside the crop",
    "nearly_black": "had no value above 31 of 255 inside the crop: nearly black",
    "further_pages": "had further pages or frames, which were left out: only the first was taken",
    "few_bits": "had 16 bits a value but used 12 or fewer, of which only the upper 8 of 16 were "
    "kept: too dark; multiply such values before the conversion",
    "cmyk_unmarked": "had CMYK colours without Adobe's marker, taken to be inverted as Adobe's are",
    "no_end_marker": "had no end marker, though all rows were there",
    "damaged_kept": "had damage, and went in because of --lenient",
    "other_shape": "had another shape than --size by a factor of more than 1.5 and got distorted; "
    "--fit pad would keep the proportions",
    "turned_shape": "had another shape than --size, lying instead of upright or upright instead "
    "of lying: are W and H of --size the wrong way round?",
}

_MOST_ALPHA = (
    "had transparency, which was dropped: what lay below it shows, and may be dim or without text. "
    "Look at `convert show`; --alpha white would paint them as a browser does"
)
"""In place of the line above where most sources had it: training may learn nothing."""

# An odd one out is no news of these; most sources being so is a mistake in the command.
_OF_MOST: tuple[Oddity, ...] = ("other_shape", "turned_shape")


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
    """Adds up the sightings of several shards, in the order of `ODDITIES`."""
    merged: dict[Oddity, Sighting] = {}
    for part in parts:
        for oddity, sighting in part.items():
            seen = merged.get(oddity)
            merged[oddity] = sighting if seen is None else seen.plus(sighting)
    return {oddity: merged[oddity] for oddity in ODDITIES if oddity in merged}


def sightings_from_json(content: Mapping[str, Mapping[str, Any]]) -> dict[Oddity, Sighting]:
    """Makes sightings again of what `dataclasses.asdict` made of them.

    Raises:
        TypeError: They are none.
    """
    return merge_sightings([{o: Sighting(**content[o]) for o in ODDITIES if o in content}])


def oddity_lines(seen: Sightings, *, exif: bool, num_sources: int) -> list[str]:
    """Returns a line for each kind that was seen.

    Args:
        seen: How often each was.
        exif: Whether EXIF orientations were applied.
        num_sources: Sources among which they were seen.
    """
    lines = []
    for oddity, sighting in _worth_saying(seen, num_sources).items():
        if oddity in _FOUND:
            paths = "1 path was" if sighting.count == 1 else f"{sighting.count:,} paths were"
            lines.append(f"{paths} found {_FOUND[oddity]} (such as {printable(sighting.path)})")
            continue
        images = "1 image" if sighting.count == 1 else f"{sighting.count:,} images"
        if oddity == "oriented" and exif:
            lines.append(f"{images} turned as the EXIF orientation says")
            continue
        is_most = oddity == "dropped_alpha" and 2 * sighting.count > num_sources
        what = _MOST_ALPHA if is_most else _WHAT[oddity]
        lines.append(f"warning: {images} {what} (such as {printable(sighting.path)})")
    return lines


def _worth_saying(seen: Sightings, num_sources: int) -> dict[Oddity, Sighting]:
    """Leaves out shapes that most sources do not have, and all but one oddity of shape."""
    said = {o: s for o, s in seen.items() if o not in _OF_MOST or 2 * s.count > num_sources}
    if "turned_shape" in said:
        said.pop("other_shape", None)
    return said
