"""Damage that no decoder speaks of by itself: it is found all the same."""

from __future__ import annotations

import pytest
from image_cases import outcome, png

WIDTH, HEIGHT = 64, 48
# First column and row of each pass of an interlaced PNG, and the steps between them.
PASSES = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2)]
PASSES.append((0, 1, 1, 2))


# PNG


@pytest.mark.parametrize("height", [9, 41])  # the first pass has pixels of the last row
@pytest.mark.parametrize("num_passes", range(1, 7))
def test_the_first_passes_of_an_interlaced_image_are_not_all(height: int, num_passes: int) -> None:
    passes = [
        (b"\0" + b"\x5a" * (3 * -(-(WIDTH - left) // right))) * -(-(height - top) // down)
        for left, top, right, down in PASSES
    ]
    whole = png((WIDTH, height), 8, 2, b"".join(passes), interlace=1)
    assert outcome(whole, size=(WIDTH, height)) == "converted one_colour"
    short = png((WIDTH, height), 8, 2, b"".join(passes[:num_passes]), interlace=1)
    assert outcome(short) == "truncated: the PNG ends before its last row"
    assert "damaged_kept" in outcome(short, lenient=True).split()
