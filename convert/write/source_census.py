"""Counts formats, sizes and oddities of a shard's source images."""

from __future__ import annotations

from collections import Counter

from convert.images import Rendered
from convert.images.oddities import Oddity, Sighting
from convert.write.summary import Sources


class SourceCensus:
    """Counts what source images are like."""

    def __init__(self) -> None:
        self._formats: Counter[str] = Counter()
        self._sizes: set[tuple[int, int]] = set()
        self._oddities: dict[Oddity, Sighting] = {}

    def count(self, rendered: Rendered, row: int, path: str) -> None:
        """Counts one image.

        Args:
            rendered: What became of it.
            row: Its manifest row.
            path: Its path as the manifest spells it.
        """
        self._formats[rendered.source_format] += 1
        self._sizes.add(rendered.source_size)
        for oddity in rendered.oddities:
            self.note(oddity, row, path)

    def note(self, oddity: Oddity, row: int, path: str) -> None:
        """Counts something odd about the source of a row."""
        sighting = Sighting(count=1, row=row, path=path)
        seen = self._oddities.get(oddity)
        self._oddities[oddity] = sighting if seen is None else seen.plus(sighting)

    def sources(self) -> Sources:
        """Returns the counts."""
        widths, heights = zip(*(self._sizes or {(0, 0)}), strict=True)
        return Sources(
            formats=dict(self._formats),
            smallest=(min(widths), min(heights)),
            largest=(max(widths), max(heights)),
            oddities=self._oddities,
        )
