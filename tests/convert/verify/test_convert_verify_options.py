"""With --deep, images and labels are made again by the options that the dataset has."""

import csv
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from convert_cases import convert, png, write_manifest
from verify_cases import draw, problems, verify

from convert.errors import UsageError


def boxes(folder: Path) -> dict[str, Any]:
    """Gives each row a box of its own."""
    with (folder / "m.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    rows = [[*row, "1", "0", str(6 + number % 6), "7"] for number, row in enumerate(rows)]
    write_manifest(folder / "m.csv", [*header, "left", "top", "right", "bottom"], rows)
    return {"size": (7, 5)}


OPTIONS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "a crop, resized to grey": lambda folder: {
        "crop": (1, 2, 11, 7),
        "size": (5, 4),
        "channels": 1,
        "resample": "lanczos",
    },
    "a crop beyond the image": lambda folder: {"crop": (-2, 0, 9, 12), "pad_crop": True},
    "boxes of rows": boxes,
    "encoded images": lambda folder: {"encoding": "jpeg", "quality": 50, "alpha": "white"},
    "a given vocabulary": lambda folder: {
        "vocabulary": (
            text_file(folder / "v0", "210"),
            f"y1={text_file(folder / 'v1', 'fedcba9876543210')}",
        )
    },
    "labels that are indices": lambda folder: {
        "label_columns": ("y0",),
        "labels_are_indices": True,
        "vocabulary": (text_file(folder / "v0", "abc"),),
    },
    "a padded text": lambda folder: {
        "text_column": "text",
        "pad_label": True,
        "vocabulary": (text_file(folder / "v0", "0123456789"),),
    },
    "shuffled, by shares and groups": lambda folder: {
        "order": "shuffled",
        "split": (("train", 0.5), ("test", 0.5)),
        "group_column": "y0",
        "seed": 4,
        "name": "strips",
    },
}


def text_file(path: Path, classes: str) -> str:
    path.write_text("".join(f"{name}\n" for name in classes), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_is_followed(tmp_path: Path, name: str) -> None:
    draw(tmp_path)
    with (tmp_path / "m.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    rows = [[*row, str(number)] for number, row in enumerate(rows)]
    manifest = write_manifest(tmp_path / "m.csv", [*header, "text"], rows)
    (tmp_path / "i/7.png").write_bytes(b"no image")
    options = OPTIONS[name](tmp_path)
    convert(manifest, tmp_path / "new", max_bad_fraction=0.1, **options)
    result = verify(tmp_path / "new", manifest=str(manifest), deep=True)
    assert result.problems == []
    assert result.sound_records == 39


def test_labels_from_names(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for number in range(9):
        (tmp_path / f"images/{number}_a{number}.png").write_bytes(png(seed=number))
    images = tmp_path / "images"
    convert(images, tmp_path / "out", from_names="_(.+)[.]", split=(("train", 1.0),))
    assert problems(tmp_path / "out", manifest=str(images), deep=True) == []
    os.rename(images / "3_a3.png", images / "3_a4.png")
    with pytest.raises(UsageError, match="not the manifest of"):
        problems(tmp_path / "out", manifest=str(images))


def test_another_root(tmp_path: Path) -> None:
    manifest, dataset = str(draw(tmp_path)), tmp_path / "out"
    (tmp_path / "root").mkdir()
    os.rename(tmp_path / "i", tmp_path / "root/i")
    assert problems(dataset, manifest=manifest, deep=True, root=str(tmp_path / "root")) == []
    assert verify(dataset, manifest=manifest, deep=True).num_problems == 40
    with pytest.raises(UsageError) as error:
        verify(dataset, manifest=manifest, deep=True, root=str(tmp_path / "none"))
    assert str(error.value) == (
        f"--root {tmp_path}/none: no such folder. The manifest's paths start there."
    )
