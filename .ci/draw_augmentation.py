"""Draws docs/augmentation.png: strips of the sample, each beside versions of each strength."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from train.records.augment import augment
from train.records.augmentation_draws import STRENGTHS
from train.training.dry_run.augmentation_picture import draw_augmented

ROOT = Path(__file__).resolve().parent.parent
STRIPS = ("000/000000.png", "000/000014.png")
BOX, SIZE = (186, 0, 300, 30), (128, 32)  # as in README.md


def main() -> None:
    """Draws the picture."""
    rows = []
    for strip in STRIPS:
        source = Image.open(ROOT / "data" / "sample" / "strips" / strip).convert("RGB")
        image = np.asarray(source.crop(BOX).resize(SIZE))
        rows += [(name, image, partial(augment, strength=s)) for name, s in STRENGTHS.items()]
    picture = Image.fromarray(draw_augmented(rows, seed=0))
    picture.quantize(64).save(ROOT / "docs" / "augmentation.png", optimize=True)


if __name__ == "__main__":
    main()
