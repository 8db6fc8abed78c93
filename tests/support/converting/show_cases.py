"""What the tests of `convert show` share: a dataset of texts, and what is shown of it."""

import json
from pathlib import Path
from typing import Any

from convert_cases import png, write_manifest

from convert.show import ShowConfig, show_dataset

# Path without its folder, text, split: lengths 1 to 3; `z` and `d` never in train, `a` rarely.
ROWS = [
    *((f"{row}.png", "bc"[row % 2] * (1 + row % 3), "train") for row in range(12)),
    ("12.png", "a", "train"),
    ("13.png", "bz", "validation"),
    ("14.png", "zb", "validation"),
    ("15.png", "d", "validation"),
    ("16.png", "cab", "test"),
]


def draw_texts(folder: Path, rows: list[tuple[str, str, str]] = ROWS) -> Path:
    """Draws an image of noise for each row; returns the manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    for row, (path, _, _) in enumerate(rows):
        (folder / path).write_bytes(png(seed=row))
    return write_manifest(folder / "m.csv", ["path", "text", "split"], rows)


def show(dataset: Path, **options: Any) -> tuple[list[str], dict[str, Any]]:
    """Returns lines and JSON; draws nothing unless told how much."""
    result = show_dataset(ShowConfig(dataset=str(dataset), **{"count": 0, **options}))
    return result.lines(), json.loads(json.dumps(result.to_json()))
