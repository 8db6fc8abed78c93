"""The options of a prediction: each field is one flag of `train predict`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal, get_args

from convert.config import usable_cores
from train.errors import UsageError

Format = Literal["csv", "jsonl"]

# Beyond one thread a core, threads only wait for slow disks: there so many reads are under way.
_WAITING_THREADS = 6


@dataclass(frozen=True, kw_only=True, slots=True)
class PredictConfig:
    """What to read, and how to tell what was read.

    Attributes:
        images: Files, folders, globs; `-` stands for such a list on stdin, one a line.
        manifest: Manifest whose rows are read; with a split the one that the dataset was made
            from, which then names each image.
        manifest_encoding: Encoding of its text. None: UTF-8, that of its mark, or the run's.
        path_column: Its column of paths. None: one of a usual name, or as for the run.
        text_column: Its column of texts. None: one of a usual name, or as for the run.
        root: Folder that the manifest's paths are relative to. None: the manifest's own.
        allow: More folders that its paths and links may lead into.
        dataset: Dataset to read a split of. None: the run's own.
        split: Split to read. None with a dataset: `test` if there is one, else `validation`.
        format: Of the result.
        top_k: Alternatives to tell for each output. 0: none.
        threshold: Least confidence of a whole text to accept. In [0, 1]. None: as `accept` says.
        accept: Share of the accepted texts that must be right; chooses the threshold. In (0, 1).
            None: what to accept is not said.
        output: File to write. None: stdout.
        overwrite: Let the output replace a file that is no result of an earlier call.
        batch_size: Images that the network reads at once. At least 1.
        workers: Threads that read and decode images. None: one per usable core and six more.
    """

    images: tuple[str, ...] = ()
    manifest: str | None = None
    manifest_encoding: str | None = None
    path_column: str | None = None
    text_column: str | None = None
    root: str | None = None
    allow: tuple[str, ...] = ()
    dataset: str | None = None
    split: str | None = None
    format: Format = "csv"
    top_k: int = 0
    threshold: float | None = None
    accept: float | None = None
    output: str | None = None
    overwrite: bool = False
    batch_size: int = 128
    workers: int | None = None

    def __post_init__(self) -> None:
        if self.images and (self.manifest or self.reads_split):
            other = "--manifest" if self.manifest else "--split or --dataset"
            raise UsageError(f"images and {other} exclude each other: give one of them.")
        if not (self.images or self.manifest or self.reads_split):
            raise UsageError(
                "nothing to read: name image files, folders or globs, or give --manifest or "
                "--split."
            )
        if self.manifest is None or self.reads_split:
            self._refuse_manifest_flags()
        if self.format not in get_args(Format):
            raise UsageError(f"--format cannot be {self.format!r}.")
        for flag, value, least in (
            ("--top-k", self.top_k, 0),
            ("--batch-size", self.batch_size, 1),
            ("--workers", self.num_workers, 1),
        ):
            if value < least:
                raise UsageError(f"{flag} must be at least {least}, got {value}.")
        self._check_threshold()
        if self.output is not None:
            _check_output(self.output)

    def _check_threshold(self) -> None:
        """Raises unless what to accept is said at most once, and can be."""
        if self.threshold is not None and self.accept is not None:
            raise UsageError("--threshold and --accept exclude each other: give one of them.")
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise UsageError(f"--threshold must be in [0, 1], got {self.threshold:g}.")
        if self.accept is not None and not 0 < self.accept < 1:
            raise UsageError(
                f"--accept must be above 0% and below 100%, got {100 * self.accept:g}%: no number "
                "of records proves that all are right."
            )

    def _refuse_manifest_flags(self) -> None:
        """Raises if an option says something of a manifest, where none is read for its rows."""
        for flag, given, why in (
            ("--root", self.root, "only its paths are relative to a folder"),
            ("--allow", self.allow or None, "image files may lie anywhere"),
            ("--manifest-encoding", self.manifest_encoding, "it is the encoding of its text"),
            ("--path-column", self.path_column, "it is one of its columns"),
            ("--text-column", self.text_column, "it is one of its columns"),
        ):
            if given is not None:
                raise UsageError(f"{flag} needs --manifest: {why}.")

    @property
    def reads_split(self) -> bool:
        """Whether records of a dataset are read, not image files."""
        return self.dataset is not None or self.split is not None

    @property
    def says_accept(self) -> bool:
        """Whether it is said of each text if it is accepted."""
        return self.threshold is not None or self.accept is not None

    @property
    def num_workers(self) -> int:
        """Threads to start."""
        return usable_cores() + _WAITING_THREADS if self.workers is None else self.workers


def _check_output(path: str) -> None:
    """Raises unless a file can come to a path: better now than after the work."""
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder):
        raise UsageError(f"{path}: no folder {folder}. Make it, or name another --output.")
    if os.path.exists(path) and not os.path.isfile(path):
        raise UsageError(f"{path}: exists and is no file. Name another --output.")
