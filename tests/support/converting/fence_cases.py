"""What tests of `--allow` share: a cache of links, and what is said of a path that leads out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from convert_cases import png, write_manifest

from convert.errors import ImageError

NUM_ROWS = 12


def draw_cache(folder: Path) -> Path:
    """Makes a cache of the HuggingFace hub: links in `snapshots`, files in `blobs`.

    Returns:
        The manifest, which is a link as well.
    """
    snapshot = folder / "hub/snapshots/0a1b"
    (folder / "hub/blobs").mkdir(parents=True)
    (snapshot / "train").mkdir(parents=True)
    for row in range(NUM_ROWS):
        (folder / f"hub/blobs/{row:040x}").write_bytes(png(seed=row))
        (snapshot / f"train/{row}.png").symlink_to(f"../../../blobs/{row:040x}")
    rows = [[f"train/{row}.png", f"{row:x}"] for row in range(NUM_ROWS)]
    write_manifest(folder / "hub/blobs/table", ["path", "y0"], rows)
    (snapshot / "m.csv").symlink_to("../../blobs/table")
    return snapshot / "m.csv"


def outside(place: str) -> tuple[str, str]:
    further = "--allow DIR lets a further folder in"
    return "outside_root", f"leads out of --root, to {place} from there; {further}"


def refused(look: Callable[[str], object], path: str) -> tuple[str, str]:
    """Returns the reason and the detail with which a path is refused."""
    with pytest.raises(ImageError) as caught:
        look(path)
    return caught.value.reason, caught.value.detail
