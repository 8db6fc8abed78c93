"""What tests of replaced datasets share: two that only their labels tell apart."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from convert_cases import convert, encoded, write_manifest
from PIL import Image

from convert.dataset.local_folder import LocalFolder
from convert.storage.local import LocalFileSystem, exchange
from train.records.batches import BatchSource
from train.records.reading.reader import RecordReader

NUM_RED, NUM_BLUE = 8, 5
SPLIT = (("train", 0.6), ("validation", 0.4))
HDFS = "hdfs://fake"


def draw(folder: Path, encoding: str = "raw") -> None:
    """Makes `ds`, where red is a and blue is b, and `other`, where red is z and blue is c.

    Class 0 of the one is red and of the other blue; no size and no CRC tells.
    """
    (folder / "i").mkdir()
    reds = [True] * NUM_RED + [False] * NUM_BLUE
    for row, is_red in enumerate(reds):
        image = Image.new("RGB", (12, 8), (255, row, 0) if is_red else (0, row, 255))
        (folder / f"i/{row}.png").write_bytes(encoded(image, "PNG"))
    for name, (red, blue) in {"ds": "ab", "other": "zc"}.items():
        rows = [[f"i/{row}.png", red if is_red else blue] for row, is_red in enumerate(reds)]
        manifest = write_manifest(folder / f"{name}.csv", ["path", "y0"], rows)
        convert(manifest, folder / name, split=SPLIT, shard_bytes=1, encoding=encoding)


@dataclass
class Place:
    """A copy of both datasets.

    Attributes:
        path: The folder that they are in.
        removes: Whether the old dataset is deleted when it is replaced.
        host: Begins the address of the dataset that is read; "" on this machine.
    """

    path: Path
    removes: bool = False
    host: str = ""

    @property
    def dataset(self) -> str:
        """The dataset that is read."""
        return f"{self.host}{self.path}/ds"

    def restore(self, whole: Path) -> None:
        """Makes both datasets anew."""
        for name in ("ds", "other"):
            shutil.rmtree(self.path / name, ignore_errors=True)
            shutil.copytree(whole / name, self.path / name)

    def replace(self) -> None:
        """Does what `convert --overwrite` does in the end."""
        exchange(f"{self.path}/other", f"{self.path}/ds")
        if self.removes:
            shutil.rmtree(self.path / "other")


def acting_at(
    number: int, act: Callable[[], None], patch: pytest.MonkeyPatch, method: str = "open"
) -> list[str]:
    """Does something right before the n-th file of a local folder is opened.

    Args:
        number: Of the opening, from 0.
        act: What to do.
        patch: Undoes it.
        method: What opens files: `open` is the one door, and `map` a way to it.

    Returns:
        The names of what was opened, so far.
    """
    opened: list[str] = []
    whole = getattr(LocalFolder, method)

    def open_later(folder: LocalFolder, name: str, *more: int) -> object:
        opened.append(name)
        if len(opened) == number + 1:
            act()
        return whole(folder, name, *more)

    patch.setattr(LocalFolder, method, open_later)
    return opened


def require_right(source: BatchSource) -> None:
    """Asserts that each record's label is the colour that the description says."""
    images, labels = source.reader.gather(np.arange(source.reader.num_records))
    classes = classes_of(source.reader)
    for image, label in zip(images, labels, strict=True):
        assert (image[0, 0, 0] > 0) == (classes[int(label[0])] in "az")


def classes_of(reader: RecordReader) -> tuple[str, ...]:
    """Returns the classes that a reader goes by."""
    return reader._info.classes["y0"]


class NearHdfs(LocalFileSystem):
    """Addresses under `HDFS` that lie on a local disk.

    Attributes:
        before: Called before a file is read.
    """

    is_local = False

    def __init__(self) -> None:
        self.before: Callable[[str], None] = lambda path: None

    def read(self, path, start=0, length=None):
        """Returns a part of a file."""
        self.before(path)
        return super().read(_near(path), start, length)

    def stream(self, path, start=0, length=None):
        """Yields a part of a file."""
        self.before(path)
        return super().stream(_near(path), start, length)

    def status(self, path):
        """Returns what is at a path."""
        return super().status(_near(path))

    def names(self, folder):
        """Returns the names in a folder."""
        return super().names(_near(folder))

    def sizes(self, folder):
        """Returns the files of a folder."""
        return super().sizes(_near(folder))


def _near(path: str) -> str:
    return path.removeprefix(HDFS)


def near_hdfs(patch: pytest.MonkeyPatch) -> NearHdfs:
    """Has `HDFS` kept on a local disk."""
    files = NearHdfs()
    found = {(os.getpid(), HDFS.removeprefix("hdfs://")): files}
    patch.setattr("convert.storage.places._HDFS._open", found)
    return files
