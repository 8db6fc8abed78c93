"""What the source images of a shard are like."""

from __future__ import annotations

from collections import Counter

from convert.image import Rendered
from convert.summary import Sources


class SourceCensus:
    """Counts what source images are like."""

    def __init__(self) -> None:
        self._formats: Counter[str] = Counter()
        self._sizes: set[tuple[int, int]] = set()
        self._dropped_alpha = self._oriented = 0

    def count(self, rendered: Rendered) -> None:
        """Counts one image."""
        self._formats[rendered.source_format] += 1
        self._sizes.add(rendered.source_size)
        self._dropped_alpha += rendered.dropped_alpha
        self._oriented += rendered.orientation > 1

    def sources(self) -> Sources:
        """Returns what was counted."""
        widths, heights = zip(*(self._sizes or {(0, 0)}), strict=True)
        return Sources(
            formats=dict(self._formats),
            smallest=(min(widths), min(heights)),
            largest=(max(widths), max(heights)),
            dropped_alpha=self._dropped_alpha,
            oriented=self._oriented,
        )
