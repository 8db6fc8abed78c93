"""Draws images with the PyPI package `captcha`, in the environment of that peer.

    python benchmarks/results/render_captchas.py FOLDER WIDTH HEIGHT SEED

FOLDER/texts.txt has a text a line; FOLDER/images gets an image for each. Fonts and noise are the
package's own. It draws from `random`, which is seeded anew for each image by the seed and the
image's number, so that the images are the same for any number of processes.
"""

from __future__ import annotations

import functools
import importlib
import multiprocessing
import random
import sys
from pathlib import Path
from typing import Any

PROCESSES = 2
FOLDER_FILES = 1000  # files in one folder


@functools.cache
def drawer(width: int, height: int) -> Any:
    """Returns the package's drawer; it loads its fonts once."""
    return importlib.import_module("captcha.image").ImageCaptcha(width=width, height=height)


def image_path(number: int) -> str:
    """Returns the path of an image, relative to the folder."""
    return f"images/{number // FOLDER_FILES:03}/{number:06}.png"


def draw(folder: Path, width: int, height: int, seed: str, numbered: tuple[int, str]) -> None:
    """Draws one image."""
    number, text = numbered
    random.seed(f"{seed} {number}")
    drawer(width, height).write(text, str(folder / image_path(number)))


def main() -> None:
    folder, width, height, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    texts = (folder / "texts.txt").read_text(encoding="utf-8").split()
    for number in range(0, len(texts), FOLDER_FILES):
        (folder / image_path(number)).parent.mkdir(parents=True)
    with multiprocessing.Pool(PROCESSES) as pool:
        work = functools.partial(draw, folder, width, height, seed)
        for _ in pool.imap_unordered(work, enumerate(texts), chunksize=100):
            pass


if __name__ == "__main__":
    main()
