"""The records of a split: images that are prepared already, with what they say."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from convert.dataset.info import DatasetInfo
from convert.dataset.read import OpenDataset
from train.errors import RecordError
from train.evaluation.evaluate_run import choose_split, require_fit
from train.input.image_paths import source_column
from train.input.open_source import open_source
from train.predict.sources.inputs import Piece, Sample, Truth, numbered
from train.records.texts import text_of


class RecordInputs:
    """A split's records in the order of its shards.

    Args:
        dataset: The dataset.
        split: None: `test` if there is one, else `validation`.
        manifest: The manifest that it was made from. None: the dataset's own list of paths. An
            image has its source's path, or where none is known that of its shard, `#`, and its
            number in it.
        info: The dataset that the run was trained on.

    Raises:
        UsageError: The dataset does not fit the run, or has no such split.
        FormatError: It cannot be read.
    """

    has_truths = True

    def __init__(
        self, dataset: OpenDataset, split: str | None, manifest: str | None, info: DatasetInfo
    ) -> None:
        path, found = dataset.path, dataset.info
        require_fit(path, found, info)
        self._info = info
        split = split or choose_split(path, found)
        # `first` would pass a bad record when it is asked for again, by itself.
        source = open_source(dataset, split, 1, shuffle=False, verify_records="always")
        self._reader = source.reader
        self._starts = np.cumsum([0, *self._reader.shard_records])
        self._sources = source_column(dataset, manifest)
        self.total: int | None = self._reader.num_records

    def batches(self, batch_size: int) -> Iterator[list[Piece]]:
        """Returns the pieces of each batch."""
        return numbered(self.total, batch_size, self._load)

    def _load(self, start: int, stop: int) -> list[Sample]:
        """Reads some records at once; if one is bad, each by itself."""
        records = np.arange(start, stop)
        try:
            images, labels = self._reader.gather(records)
        except RecordError as error:
            if stop - start == 1:
                return [Sample(path=self._path(start), image=error)]
            return [
                sample for record in records.tolist() for sample in self._load(record, record + 1)
            ]
        return [
            Sample(
                path=self._path(start + place),
                image=image,
                truth=Truth(text=text_of(classes, self._info), classes=tuple(classes)),
            )
            for place, (image, classes) in enumerate(zip(images, labels.tolist(), strict=True))
        ]

    def _path(self, record: int) -> str:
        if self._sources is not None:
            (row,) = self._reader.rows(np.array([record])).tolist()
            if 0 <= row < len(self._sources):  # another, if it is damaged there
                path: str = self._sources[row].as_py()
                return path
        shard = int(np.searchsorted(self._starts, record, side="right")) - 1
        return f"{self._reader.files[shard].path}#{record - self._starts[shard]}"
