"""What a benchmark is about: images, how they are converted, and what others have come to."""

from __future__ import annotations

import csv
import hashlib
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

PART = ".part"  # at the end of a folder's name: it is not finished


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """What the command line says of a set.

    Attributes:
        cache: Folder for images, datasets and runs; what is finished there is used again.
        data: Folder with the real sets. None: not given.
        limit: Images to take at most. None: all.
        validation: Share of the images to train on that chooses the best epoch. In [0, 1).
        drawn: (width, height) to draw images at. None: the set's own.
        size: (width, height) to train on. None: the set's own.
        seeds: Runs, with the seeds 0, 1, ... None: the set's own number.
        flags: Further flags of `train`.
    """

    cache: Path
    data: Path | None = None
    limit: int | None = None
    validation: float = 0.0
    drawn: tuple[int, int] | None = None
    size: tuple[int, int] | None = None
    seeds: int | None = None
    flags: tuple[str, ...] = ()

    def folder(self, name: str) -> Path:
        """Returns the folder of a real set, or stops and says what is missing."""
        if self.data is None:
            raise SystemExit(f"results: error: name the folder that {name} lies in: --data DIR")
        if not (self.data / name).is_dir():
            raise SystemExit(f"results: error: {self.data / name} is no folder; see --data")
        return self.data / name


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """Images, as `convert` is told of them.

    Attributes:
        manifest: CSV file.
        flags: Of `convert`, but for the size.
        size: (width, height) to train on.
        split: The split that is held out.
    """

    manifest: Path
    flags: tuple[str, ...] = ()
    size: tuple[int, int]
    split: str = "test"

    def arguments(self) -> list[str]:
        """Returns the arguments of `convert`, but for the dataset."""
        return [str(self.manifest), "--size", *map(str, self.size), *self.flags]


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """A set and what is to be reached on it.

    Attributes:
        name: Of the set.
        about: The images and how they are split.
        published: What others have come to; empty if nothing is known.
        target: What is to be reached.
        make: Writes the images and their manifest, or finds them.
        flags: Of `train`, where its defaults are not taken.
        seeds: Runs.
    """

    name: str
    about: str
    published: str = ""
    target: str
    make: Callable[[Options], Source]
    flags: tuple[str, ...] = ()
    seeds: int = 1


def make_once(folder: Path, write: Callable[[Path], None]) -> Path:
    """Makes a folder, unless it is there: whole or not at all.

    Args:
        folder: The folder.
        write: Fills a folder, which is empty.
    """
    if not folder.is_dir():
        part = folder.with_name(folder.name + PART)
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        write(part)
        part.rename(folder)
    return folder


def write_manifest(path: Path, rows: Sequence[Sequence[str]], *, split: bool = True) -> Path:
    """Writes rows of path, text and, unless told otherwise, split as CSV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["path", "text", "split"][: 3 if split else 2])
        writer.writerows(rows)
    return path


def name_hash(name: str) -> str:
    """Returns the sha256 of a file's name: an order that has nothing to do with the content."""
    return hashlib.sha256(name.encode()).hexdigest()


def training_split(name: str, validation: float) -> str:
    """Returns the split of an image that is not held out: `train`, or a share `validation`.

    The hash is of another text than that which holds out the test images: these have taken the
    lowest of the other hashes away.
    """
    share = int(name_hash(f"validation {name}")[:8], 16) / (1 << 32)
    return "validation" if share < validation else "train"
