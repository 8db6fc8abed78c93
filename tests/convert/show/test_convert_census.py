"""Counting records of encoded images, whose lengths and labels' places differ."""

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from convert_cases import convert, draw_sources, encoded
from PIL import Image
from show_cases import show

SIZE = (100, 80)


def draw_mixed(folder: Path, count: int) -> Path:
    """Draws images whose upper part is noise: their files have 300 bytes to 24,000.

    A record's labels start one byte later where its length takes three bytes instead of two.
    """
    manifest = draw_sources(folder, count)
    rng = np.random.default_rng(3)
    for row in range(count):
        pixels = np.full((SIZE[1], SIZE[0], 3), 200, np.uint8)
        pixels[: row * SIZE[1] // count] = rng.integers(0, 256, (row * SIZE[1] // count, 100, 3))
        Image.fromarray(pixels).save(folder / f"i/{row}.png")
    return manifest


@pytest.mark.parametrize("shard_bytes", [60_000, 10_000_000])
def test_labels_are_found_in_records_of_any_length(tmp_path: Path, shard_bytes: int) -> None:
    manifest = draw_mixed(tmp_path, 60)
    convert(manifest, tmp_path / "out", size=SIZE, encoding="png", shard_bytes=shard_bytes)
    lines, found = show(tmp_path / "out")
    with manifest.open() as file:
        labels = [(row["y0"], row["y1"]) for row in csv.DictReader(file)]
    everything = Counter(label for pair in labels for label in pair)
    (vocabulary,) = found["vocabularies"].values()
    assert vocabulary["classes"] == len(everything) == 16
    assert vocabulary["commonest"] == [[c, n] for c, n in sort(everything)[:10]]
    shares = [
        line.split() for line in lines if line.startswith(tuple(f"  {c} " for c in everything))
    ]
    assert {line[0]: int(line[4]) for line in shares} == everything
    train = found["splits"]["train"]
    assert train["shards"] > 3 if shard_bytes == 60_000 else train["shards"] == 1


def sort(counts: Counter[str]) -> list[tuple[str, int]]:
    """Returns classes and their counts, the commonest first, equals by name."""
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))


def test_sizes_of_encoded_images(tmp_path: Path) -> None:
    manifest = draw_mixed(tmp_path, 21)
    out = tmp_path / "out"
    convert(manifest, out, size=SIZE, encoding="png", split=(("train", 1.0),), shard_bytes=60_000)
    lines, found = show(out)
    sizes = sorted(len(encoded(Image.open(tmp_path / f"i/{row}.png"), "PNG")) for row in range(21))
    assert sizes[0] < 400 < 16_384 < sizes[20]
    three = {"min": sizes[0], "median": sizes[10], "max": sizes[20]}
    assert found["splits"]["train"]["image_bytes"] == three
    assert lines[5].endswith("size  bytes an image: min  median     max")
    assert lines[6].split()[-3:] == [f"{size:,}" for size in three.values()]
