"""What every converter but ours shares: the command's arguments, the rows, the image.

    python -m benchmarks.converters.NAME MANIFEST ROOT OUTPUT WORKERS

It runs in the peers' environments too, so it needs nothing but NumPy and Pillow.
"""

from __future__ import annotations

import csv
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from PIL import Image

BOX = (186, 0, 300, 30)  # where data/sample has its characters
SIZE = (128, 32)  # width and height, as Pillow has them
OUTPUTS = ("y0", "y1", "y2", "y3")
PIECES = 8  # of the pools, and shards of ours: a worker that is done early takes the next one

Row: TypeAlias = tuple[str, tuple[int, ...]]
Pixels: TypeAlias = np.ndarray[Any, np.dtype[np.uint8]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """What to convert.

    Attributes:
        rows: Each image's absolute path and the classes of its labels.
        output: Folder to write to; it does not exist yet.
        workers: Processes to use.
    """

    rows: list[Row]
    output: Path
    workers: int

    def pieces(self) -> list[tuple[list[Row], str]]:
        """Cuts the rows into pieces of equal length, each with a path of its own to write to."""
        length = -(-len(self.rows) // PIECES)
        starts = range(0, len(self.rows), length)
        return [
            (self.rows[start : start + length], str(self.output / f"{index:02}"))
            for index, start in enumerate(starts)
        ]


def task() -> Task:
    """Reads the command's arguments and the manifest."""
    manifest, root, output, workers = sys.argv[1:]
    with open(manifest, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    classes = sorted({row[output] for row in rows for output in OUTPUTS})
    index = {label: number for number, label in enumerate(classes)}
    return Task(
        rows=[
            (str(Path(root) / row["path"]), tuple(index[row[name]] for name in OUTPUTS))
            for row in rows
        ],
        output=Path(output),
        workers=int(workers),
    )


def pixels(path: str) -> Pixels:
    """Returns an image as all converters store it, made the cheapest way.

    Only the cropped part is converted to RGB, and transparency is dropped before resizing.
    """
    with Image.open(path) as image:
        return np.asarray(image.crop(BOX).convert("RGB").resize(SIZE))
