"""The options of a conversion: each field is one flag of `convert`."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from typing import Literal, get_args

from convert.errors import UsageError, require, require_choice

Alpha = Literal["drop", "black", "white"]
Resample = Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]
Fit = Literal["stretch", "pad"]
Encoding = Literal["raw", "png", "jpeg"]
ManifestFormat = Literal["table", "list", "icdar", "mapping", "mmocr"]
EngineName = Literal["local", "spark"]
RowOrder = Literal["shuffled", "source"]

SPLITS = ("train", "validation", "test")
DEFAULT_SPLIT = (("train", 0.9), ("validation", 0.1))
DEFAULT_QUALITY = 90  # visibly the same; Pillow's own default of 75 blurs thin strokes

Box = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels of the source; half-open."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ConvertConfig:
    """What to convert and how.

    Attributes:
        manifest: Label file, one row an image, or a folder that holds just one; with
            `from_names` a folder of images.
        dataset: Folder to make; must not exist, or be empty, unless `overwrite`.
        format: Dialect of the manifest. None: the one that its content shows.
        manifest_encoding: Encoding of its text, by Python's name. None: UTF-8, or what a
            byte-order mark says.
        root: Folder that the manifest's paths are relative to. None: the manifest's own.
        allow: More folders that paths and links may lead into.
        from_names: Regular expression whose groups find the labels in the names of a folder's
            files, instead of a manifest. None: read a manifest.
        path_column: Column of paths. None: `path`, or the only one with another usual name.
        label_columns: One column per output. Empty: those named `y` and digits.
        text_column: One column whose characters are the labels, instead of `label_columns`.
        text_length: Characters in a text. None: the commonest length (the longest if padded).
        pad_label: Pad shorter texts on the right with a blank, the last class.
        verbatim_labels: Take labels as they are: neither made NFC nor rid of blanks around them.
        labels_are_indices: Labels are integers into a given vocabulary.
        vocabulary: Files with one class a line, or datasets whose classes are taken: `FILE` for
            all outputs or `OUTPUT=FILE`.
        add_classes: Labels that a given vocabulary lacks become its last classes, in code-point
            order. Else their rows are left out.
        corrections: CSVs of labels that replace the manifest's, as the page of `train audit` hands
            them out; each judged the labels that those before it left.
        crop: Box in source pixels, inside every image. None: the whole image.
        size: (width, height) in pixels that the crop is resized to. None: the crop's size.
        fit: How a crop of another shape comes to `size`: stretched, or padded with the median
            colour of its border.
        channels: 3 for RGB, 1 for grey.
        alpha: What becomes of transparency: dropped, or painted on black or white.
        resample: Filter of the resizing.
        pad_crop: Let the crop box reach past the image, and fill with black.
        exif: Turn images as their EXIF orientation says, before the crop.
        fast_decode: Decode large JPEGs at a reduced scale, and PNGs only down to the crop's last
            row. Pixels may differ slightly.
        lenient: Keep images that decoders warn about, such as a JPEG with a hole.
        encoding: What records hold: raw pixels, or a PNG or JPEG file.
        quality: Of JPEG, in [1, 100]. None: 90.
        max_pixels: Width times height above which an image is left out unread.
        split: Name and share of each split; shares add up to 1. Empty: the split column where
            there is one, else 0.9 train and 0.1 validation.
        split_column: Column that names each row's split. None: `split`, where there is one.
        group_column: Column whose equal values stay in one split: a hash of the value decides,
            not of the path. `--split-key` names it, too.
        order: Order of the records of a split: `shuffled` by the seed, or the manifest's.
        name: First part of the shards' file names.
        seed: Seed of the split and of the order. In [0, 2**63).
        shard_bytes: Size to cut shards at, in bytes.
        engine: Where shards are written: in processes of this machine, or by a Spark cluster.
        master: Address of the Spark cluster, as `local[2]`. None: that of `spark-submit`.
        workers: Processes of the local engine. None: one per usable core.
        max_bad_fraction: Share of rows that may be left out. In [0, 1].
        overwrite: Replace a finished dataset.
        retry_quarantined: Convert again the rows that a finished dataset left out.
    """

    manifest: str
    dataset: str
    format: ManifestFormat | None = None
    manifest_encoding: str | None = None
    root: str | None = None
    allow: tuple[str, ...] = ()
    from_names: str | None = None
    path_column: str | None = None
    label_columns: tuple[str, ...] = ()
    text_column: str | None = None
    text_length: int | None = None
    pad_label: bool = False
    verbatim_labels: bool = False
    labels_are_indices: bool = False
    vocabulary: tuple[str, ...] = ()
    add_classes: bool = False
    corrections: tuple[str, ...] = ()
    crop: Box | None = None
    size: tuple[int, int] | None = None
    fit: Fit = "stretch"
    channels: int = 3
    alpha: Alpha = "drop"
    resample: Resample = "bicubic"
    pad_crop: bool = False
    exif: bool = False
    fast_decode: bool = False
    lenient: bool = False
    encoding: Encoding = "raw"
    quality: int | None = None
    max_pixels: int = 50_000_000
    split: tuple[tuple[str, float], ...] = ()
    split_column: str | None = None
    group_column: str | None = None
    order: RowOrder = "shuffled"
    name: str = "images"
    seed: int = 0
    shard_bytes: int = 128 * 1024 * 1024
    engine: EngineName = "local"
    master: str | None = None
    workers: int | None = None
    max_bad_fraction: float = 0.01
    overwrite: bool = False
    retry_quarantined: bool = False

    def __post_init__(self) -> None:
        self._check_pixels()
        self._check_labels()
        self._check_split()
        require(
            re.fullmatch(r"[a-z][a-z0-9_]*", self.name) is not None,
            f"--name must be a lower-case letter, then letters, digits or _, got {self.name!r}.",
        )
        require(0 <= self.seed < 1 << 63, f"--seed must be in [0, 2**63), got {self.seed}.")
        for flag, number in (
            ("--shard-bytes", self.shard_bytes),
            ("--workers", self.workers),
            ("--max-pixels", self.max_pixels),
            ("--text-length", self.text_length),
        ):
            require(number is None or number >= 1, f"{flag} must be at least 1, got {number}.")
        require(
            0 <= self.max_bad_fraction <= 1,
            f"--max-bad-fraction must be in [0, 1], got {self.max_bad_fraction:g}.",
        )
        require_choice("--engine", self.engine, EngineName)
        of_engines = ("--master", self.master, "spark"), ("--workers", self.workers, "local")
        for flag, value, engine in of_engines:
            require(
                value is None or self.engine == engine,
                f"{flag} needs --engine {engine}, got --engine {self.engine}.",
            )
        require(self.order in get_args(RowOrder), f"--order cannot be {self.order!r}.")
        require(
            not (self.overwrite and self.retry_quarantined),
            "--overwrite and --retry-quarantined exclude each other: the first redoes all rows.",
        )

    def _check_pixels(self) -> None:
        if self.crop is not None:
            left, top, right, bottom = self.crop
            inside = self.pad_crop or (left >= 0 and top >= 0)
            require(
                left < right and top < bottom and inside,
                f"--crop must be L T R B with 0 <= L < R and 0 <= T < B, got {_words(self.crop)}.",
            )
        require(
            self.crop is not None or self.size is not None,
            "--size W H is needed when there is no --crop: all records have one size.",
        )
        if self.size is not None:
            require(
                min(self.size) >= 1 and self.size[0] * self.size[1] <= 1 << 24,
                f"--size must be at least 1x1 and at most 2**24 pixels, got {_words(self.size)}.",
            )
        require(self.channels in (1, 3), f"--channels must be 1 or 3, got {self.channels}.")
        require(self.alpha in get_args(Alpha), f"--alpha cannot be {self.alpha!r}.")
        require(self.fit in get_args(Fit), f"--fit cannot be {self.fit!r}.")
        require(self.resample in get_args(Resample), f"--resample cannot be {self.resample!r}.")
        require(self.encoding in get_args(Encoding), f"--encoding cannot be {self.encoding!r}.")
        require(
            self.quality is None or self.encoding == "jpeg",
            "--quality needs --encoding jpeg: the other encodings lose nothing.",
        )
        require(
            self.quality is None or 1 <= self.quality <= 100,
            f"--quality must be in [1, 100], got {self.quality}.",
        )

    def _check_labels(self) -> None:
        if self.from_names is not None:
            self._check_from_names(self.from_names)
            for flag, value in (
                ("--format", self.format),
                ("--manifest-encoding", self.manifest_encoding),
                ("--path-column", self.path_column),
            ):
                require(value is None, f"{flag} is for label files, and --from-names reads none.")
        require(
            not (self.label_columns and self.text_column),
            "--label-columns and --text-column exclude each other: give one of them.",
        )
        require(
            len(set(self.label_columns)) == len(self.label_columns),
            f"--label-columns names a column twice: {','.join(self.label_columns)}.",
        )
        for flag, given in (("--text-length", self.text_length), ("--pad-label", self.pad_label)):
            require(
                not (given and self.label_columns),
                f"{flag} needs --text-column: label columns have no length.",
            )
        require(
            not self.labels_are_indices or bool(self.vocabulary),
            "--labels-are-indices needs --vocabulary FILE: indices mean nothing without classes.",
        )
        require(
            not self.add_classes or (bool(self.vocabulary) and not self.labels_are_indices),
            "--add-classes needs --vocabulary DATASET, and labels that are classes, not indices.",
        )
        require(
            not (self.labels_are_indices and self.corrections),
            "--corrections names classes and --labels-are-indices says that labels are none: "
            "correct the manifest itself.",
        )
        require(
            not (self.labels_are_indices and self.text_column),
            "--labels-are-indices needs --label-columns: a text is made of classes.",
        )

    def _check_from_names(self, expression: str) -> None:
        try:
            pattern = re.compile(expression)
        except re.error as error:
            raise UsageError(
                f"--from-names is no regular expression: {error}, got {expression!r}."
            ) from error
        require(
            pattern.groups >= 1,
            "--from-names needs a group in round brackets around the label, "
            f"as in '([a-z0-9]+)\\.png', got {expression!r}.",
        )
        require(
            pattern.groups == 1 or bool(pattern.groupindex),
            f"--from-names has {pattern.groups} groups, and only one can be the label: write "
            "(?:...) for groups that are no labels, or names such as (?P<y0>...) and "
            f"(?P<y1>...) for several labels, got {expression!r}.",
        )

    def _check_split(self) -> None:
        names = [name for name, _ in self.split]
        require(
            not (self.split and self.split_column),
            "--split and --split-column exclude each other: give one of them.",
        )
        require(
            set(names) <= set(SPLITS) and len(set(names)) == len(names),
            f"--split takes each of {', '.join(SPLITS)} at most once, got {', '.join(names)}.",
        )
        shares = [share for _, share in self.split or DEFAULT_SPLIT]
        require(
            all(0 < share <= 1 for share in shares) and abs(sum(shares) - 1) < 1e-6,
            f"--split shares must be above 0 and add up to 1, got {_words(shares)}.",
        )

    @property
    def image_size(self) -> tuple[int, int]:
        """(width, height) of every record's image, in pixels."""
        if self.size is not None:
            return self.size
        assert self.crop is not None  # __post_init__ saw to it
        return self.crop[2] - self.crop[0], self.crop[3] - self.crop[1]

    @property
    def jpeg_quality(self) -> int:
        """Quality that a JPEG encoder is told, in [1, 100]."""
        return DEFAULT_QUALITY if self.quality is None else self.quality

    @property
    def num_workers(self) -> int:
        """Processes to start; by default one per core that this process may use."""
        return usable_cores() if self.workers is None else self.workers


def usable_cores() -> int:
    """Returns the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _words(numbers: tuple[float, ...] | list[float]) -> str:
    """Returns numbers as they are typed: `186 0 300 30`."""
    return " ".join(f"{number:g}" for number in numbers)
