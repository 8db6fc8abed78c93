"""Image files and the rows of manifests, prepared exactly as in conversion."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice

from convert.config import Box
from convert.dataset.info import DatasetInfo
from convert.images import ImageOptions, render, to_array
from convert.images.sources.hdfs_reader import allowed_folders, open_sources
from convert.images.sources.reader import SourceReader
from convert.images.sources.spellings import SpellingReader
from convert.plan.dialects.roles import ManifestOptions
from convert.plan.load_inputs import load_manifest, recorded_manifest_options
from convert.plan.manifest import BOX_COLUMNS, Manifest
from convert.storage.places import absolute
from train.errors import ImageError, UsageError
from train.predict.sources.inputs import Bytes, Piece, Sample, attempt, numbered, spans
from train.predict.sources.truth import TruthFinder

_NUMBER = re.compile(r"\s*-?[0-9]{1,9}\s*")


def raw_options(info: DatasetInfo) -> ImageOptions:
    """Returns how a run's images were made, as pixels."""
    return replace(info.image, encoding="raw")


class FileInputs:
    """Image files.

    Args:
        paths: Their paths.
        info: The dataset that the run was trained on.

    Raises:
        UsageError: It was cropped by boxes that files alone do not have.
    """

    total = None
    has_truths = False

    def __init__(self, paths: Iterable[str], info: DatasetInfo) -> None:
        if info.image.row_boxes:
            raise UsageError(
                "this run's images were cropped by boxes in their manifest, which image files "
                f"alone do not have. Give --manifest with the columns {', '.join(BOX_COLUMNS)}."
            )
        self._paths = paths
        self._options = raw_options(info)
        self._reader = SourceReader("/", self._options.max_bytes)

    def batches(self, batch_size: int) -> Iterator[list[Piece]]:
        """Yields the pieces of each batch."""
        paths = iter(self._paths)
        while batch := list(islice(paths, batch_size)):
            yield [partial(self._load, batch[start:stop]) for start, stop in spans(0, len(batch))]

    def _load(self, paths: Sequence[str]) -> list[Sample]:
        return [attempt(path, partial(self._image, path)) for path in paths]

    def _image(self, path: str) -> Bytes:
        content = self._reader.read(os.path.abspath(path))
        return to_array(render(content, self._options), self._options)


def _load(path: str, info: DatasetInfo, given: ManifestOptions) -> Manifest:
    """Reads a manifest as it says itself, or as that of the run was read.

    Args:
        path: The manifest.
        info: The dataset that the run was trained on.
        given: What the user says of the manifest; if anything, nothing else counts.
    """
    recorded = recorded_manifest_options(info.options)
    tries = [replace(recorded, encoding=None), recorded] if given == ManifestOptions() else []
    for options in tries:  # a file in UTF-8 can be read as others, too, but wrongly
        with contextlib.suppress(UsageError):
            return load_manifest(path, options=options)
    return load_manifest(path, options=given)


class ManifestInputs:
    """The rows of a manifest, with what they say if they say it as the run's manifest did.

    Args:
        path: The manifest.
        root: Folder that its paths are relative to. None: its own.
        allow: More folders that its paths and links may lead into.
        info: The dataset that the run was trained on.
        given: What the user says of the manifest.

    Raises:
        UsageError: The manifest cannot be read, or lacks a column; or a folder is none.
    """

    def __init__(
        self,
        path: str,
        root: str | None,
        allow: tuple[str, ...],
        info: DatasetInfo,
        given: ManifestOptions,
    ) -> None:
        self._manifest: Manifest = _load(path, info, given)
        self._paths = self._manifest.column("path", "--manifest")
        self.total: int | None = self._manifest.num_rows
        self._truth = TruthFinder(self._manifest, info)
        self.has_truths = self._truth.is_known
        boxes = BOX_COLUMNS if info.image.row_boxes else ()
        self._boxes = [self._manifest.column(name, "the run's crop boxes") for name in boxes]
        self._options = raw_options(info)
        folder = os.path.dirname(absolute(path)) if root is None else root
        allowed = allowed_folders(folder, allow)
        self._reader = SpellingReader(open_sources(folder, self._options.max_bytes, allow=allowed))

    def batches(self, batch_size: int) -> Iterator[list[Piece]]:
        """Returns the pieces of each batch."""
        return numbered(self.total, batch_size, self._load)

    def _load(self, start: int, stop: int) -> list[Sample]:
        paths = self._paths[start:stop].to_pylist()
        return [
            attempt(path, partial(self._image, row, path), self._truth.of(row))
            for row, path in enumerate(paths, start)
        ]

    def _image(self, row: int, path: str) -> Bytes:
        if not path:
            raise ImageError("path_missing", "the path is empty")
        box = self._box(row) if self._boxes else None
        return to_array(render(self._reader.read(path), self._options, box), self._options)

    def _box(self, row: int) -> Box:
        texts = [column[row].as_py() for column in self._boxes]
        if all(map(_NUMBER.fullmatch, texts)):
            left, top, right, bottom = map(int, texts)
            if left < right and top < bottom:
                return left, top, right, bottom
        raise ImageError(
            "box_invalid",
            f"{', '.join(BOX_COLUMNS)} must be whole numbers with left < right and top < bottom, "
            f"got {', '.join(text or 'nothing' for text in texts)}",
        )
