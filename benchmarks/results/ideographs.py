"""Strips of ideographs: those of data/render.py, with other characters."""

from __future__ import annotations

import functools
import importlib
import multiprocessing
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.results.source import make_once

ROOT = Path(__file__).resolve().parent.parent.parent
FIRST, LAST = 0x4E00, 0x9FA5  # the CJK unified ideographs of Unicode 1, 20,902 of them
POSITIONS = 4
SEED = 0
PROCESSES = 2
VOCABULARY, MANIFEST = "vocabulary.txt", "ideographs.csv"


def classes(count: int) -> list[str]:
    """Returns so many ideographs, spread evenly over all of them."""
    places = np.linspace(FIRST, LAST, count).round().astype(int)
    return [chr(place) for place in places]


def labels(vocabulary: Sequence[str], count: int) -> list[str]:
    """Returns texts; in each position each character is as frequent as any other."""
    rng = np.random.Generator(np.random.PCG64([SEED, len(vocabulary)]))
    rounds = -(-count // len(vocabulary))
    columns = [
        np.concatenate([rng.permutation(len(vocabulary)) for _ in range(rounds)])[:count]
        for _ in range(POSITIONS)
    ]
    return ["".join(vocabulary[place] for place in places) for places in zip(*columns, strict=True)]


@functools.cache
def renderer() -> Any:
    """Returns data/render.py."""
    sys.path.insert(0, str(ROOT / "data"))
    return importlib.import_module("render")


def write_strip(folder: Path, numbered: tuple[int, str]) -> str:
    """Draws a strip as `render_strip` does, but with a given text, and returns its path."""
    index, text = numbered
    render = renderer()
    fonts = render.find_fonts(render.FONT_FOLDER)
    rng = render.random_stream(SEED, render.PIXEL_STREAM, index)
    shape = (3, int(rng.integers(33, 37)), int(rng.integers(306, 315)))
    scene = render.Scene(rng=rng, fonts=fonts, layers=np.zeros(shape, np.float32))
    render.draw_values(scene, text)
    render.draw_left(scene)
    render.draw_outside(scene)
    render.draw_rules(scene)
    pixels = render.colour(scene, *render.scan(rng, render.expose(scene)))
    path: str = render.write_strip(render.Image.fromarray(pixels), "RGB", folder, index)
    return path


def make_strips(cache: Path, num_classes: int, splits: dict[str, int]) -> Path:
    """Draws strips of 4 characters, unless they are there.

    Args:
        cache: Where their folder is made.
        num_classes: Different characters.
        splits: Strips of each split.

    Returns:
        The folder, with a manifest and a vocabulary.
    """
    count = sum(splits.values())
    vocabulary = classes(num_classes)
    texts = labels(vocabulary, count)
    names = [split for split, size in splits.items() for _ in range(size)]

    def write(folder: Path) -> None:
        (folder / VOCABULARY).write_text("\n".join([*vocabulary, ""]), encoding="utf-8")
        with multiprocessing.get_context("spawn").Pool(PROCESSES) as pool:
            work = functools.partial(write_strip, folder)
            paths = pool.map(work, enumerate(texts), chunksize=50)
        rows = ["path,text,split"]
        rows += [",".join(row) for row in zip(paths, texts, names, strict=True)]
        (folder / MANIFEST).write_text("\n".join([*rows, ""]), encoding="utf-8")

    name = f"ideographs-{num_classes}-{'-'.join(map(str, splits.values()))}"
    return make_once(cache / "images" / name, write)
