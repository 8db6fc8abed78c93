"""`dataset.json`: what a dataset folder holds, written last.

It has no clock, host, user, machine path or worker count: equal inputs give equal bytes. Its
sha256 is the dataset's id.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from convert.dataset.index import SUFFIX
from convert.dataset.record import RecordLayout
from convert.images.options import ImageOptions

FORMAT_VERSION = 1
DATASET_JSON = "dataset.json"
SUCCESS = "_SUCCESS"
QUARANTINE = "quarantine.jsonl"
SOURCE = "_source.json"
"""Names the files that it was made from, and is not the same on every machine."""
SOURCE_PATHS = "sources.parquet"
"""The path of each manifest row; see `convert.dataset.source_paths`."""

TEXT_VOCABULARY = "text"
"""Name of the one vocabulary of the outputs of a text."""


def shard_file(name: str, split: str, index: int, num_shards: int) -> str:
    """Returns a shard's file name, in the pattern that TFDS knows."""
    return f"{name}-{split}.tfrecord-{index:05d}-of-{num_shards:05d}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Shard:
    """One file of records.

    Attributes:
        file: Its name in the dataset's folder.
        records: Number of records. May be 0, when all its rows were left out.
        bytes: Its size.
        sha256: Digest of its content, in hexadecimal.
        index_bytes: Size of its index. None: raw images need none.
        index_sha256: Digest of its index, or None.
    """

    file: str
    records: int
    bytes: int
    sha256: str
    index_bytes: int | None = None
    index_sha256: str | None = None

    @property
    def files(self) -> dict[str, tuple[int, str]]:
        """Name -> (size, sha256) of the shard and of its index, where it has one."""
        files = {self.file: (self.bytes, self.sha256)}
        if self.index_bytes is not None:
            files[self.file + SUFFIX] = (self.index_bytes, self.index_sha256 or "")
        return files

    def to_json(self) -> dict[str, Any]:
        """Returns the entry of `dataset.json`; without an index it says nothing of one."""
        return {key: value for key, value in asdict(self).items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class DatasetInfo:
    """The content of `dataset.json`.

    Attributes:
        name: First part of the shards' names.
        image: How sources became the records' images.
        outputs: Output name -> vocabulary name, in label order.
        vocabularies: Vocabulary name -> classes in index order.
        splits: Split name -> its shards in order.
        plan_id: Digest of the manifest and of every option that changes bytes.
        manifest_sha256: Digest of the manifest's bytes.
        options: The options that change bytes.
    """

    name: str
    image: ImageOptions
    outputs: dict[str, str]
    vocabularies: dict[str, tuple[str, ...]]
    splits: dict[str, tuple[Shard, ...]]
    plan_id: str
    manifest_sha256: str
    options: dict[str, Any]

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of every image."""
        return self.image.shape

    @property
    def is_raw(self) -> bool:
        """Whether records hold pixels, and so are all of one length."""
        return self.image.encoding == "raw"

    @cached_property
    def layout(self) -> RecordLayout:
        """Where everything lies in a record of raw pixels."""
        height, width, channels = self.image_shape
        return RecordLayout(num_labels=len(self.outputs), image_bytes=height * width * channels)

    @cached_property
    def dataset_id(self) -> str:
        """sha256 of the file, in hexadecimal."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    @property
    def reads_text(self) -> bool:
        """Whether the outputs are the characters of a text, rather than columns of the manifest."""
        return all(name == TEXT_VOCABULARY != output for output, name in self.outputs.items())

    @property
    def classes(self) -> dict[str, tuple[str, ...]]:
        """Output name -> its classes in index order."""
        return {output: self.vocabularies[name] for output, name in self.outputs.items()}

    def num_records(self, split: str) -> int:
        """Returns the number of records of a split."""
        return sum(shard.records for shard in self.splits[split])

    def files(self) -> dict[str, tuple[int, str]]:
        """Name -> (size, sha256) of every shard and index."""
        files: dict[str, tuple[int, str]] = {}
        for shards in self.splits.values():
            for shard in shards:
                files.update(shard.files)
        return files

    def to_json(self) -> str:
        """Returns the file's text."""
        content = {
            "format_version": FORMAT_VERSION,
            "name": self.name,
            "image": self.image.to_json(),
            "outputs": [
                {"name": output, "vocabulary": name} for output, name in self.outputs.items()
            ],
            "splits": {
                split: {
                    "records": sum(shard.records for shard in shards),
                    "shards": [shard.to_json() for shard in shards],
                }
                for split, shards in self.splits.items()
            },
            "layout": self._layout_json() if self.is_raw else None,
            "plan_id": self.plan_id,
            "manifest_sha256": self.manifest_sha256,
            "options": self.options,
            "vocabularies": {name: list(c) for name, c in self.vocabularies.items()},
        }
        return json.dumps(content, ensure_ascii=False, indent=1) + "\n"

    def _layout_json(self) -> dict[str, int]:
        layout = self.layout
        return {
            "stride": layout.stride,
            "label_offset": layout.label_offset,
            "row_offset": layout.row_offset,
            "image_offset": layout.image_offset,
        }
