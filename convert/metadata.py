"""`dataset.json`: what a dataset folder holds, written last and trusted only after checking.

It has no clock, host, user, machine path or worker count: equal inputs give equal bytes. Its
sha256 is the dataset's id.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, get_args

from convert.config import Alpha, Resample
from convert.errors import FormatError
from convert.format import MAX_VARINT, RecordLayout

FORMAT_VERSION = 1
DATASET_JSON = "dataset.json"
SUCCESS = "_SUCCESS"
QUARANTINE = "quarantine.jsonl"

_MAX_OUTPUTS = 10_000  # far beyond any label, and keeps a damaged file from asking for memory
_MAX_PIXELS = 1 << 24  # as `convert --size` allows
_IMAGE_FIELDS = {
    "resample": str,
    "alpha": str,
    "pad_crop": bool,
    "row_boxes": bool,
    "max_pixels": int,
}
_SHA256 = re.compile(r"[0-9a-f]{64}")


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
    """

    file: str
    records: int
    bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class DatasetInfo:
    """The content of `dataset.json`.

    Attributes:
        name: First part of the shards' names.
        image: height, width, channels, and how the pixels came about: encoding, crop, resample,
            alpha and the like.
        outputs: Output name -> vocabulary name, in label order.
        vocabularies: Vocabulary name -> classes in index order.
        splits: Split name -> its shards in order.
        plan_id: Digest of the manifest and of every option that changes bytes.
        manifest_sha256: Digest of the manifest's bytes.
        options: The options that change bytes.
    """

    name: str
    image: dict[str, Any]
    outputs: dict[str, str]
    vocabularies: dict[str, tuple[str, ...]]
    splits: dict[str, tuple[Shard, ...]]
    plan_id: str
    manifest_sha256: str
    options: dict[str, Any]

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of every image."""
        return self.image["height"], self.image["width"], self.image["channels"]

    @cached_property
    def layout(self) -> RecordLayout:
        """Where everything lies in a record."""
        height, width, channels = self.image_shape
        return RecordLayout(num_labels=len(self.outputs), image_bytes=height * width * channels)

    @cached_property
    def dataset_id(self) -> str:
        """sha256 of the file, in hexadecimal."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    @property
    def classes(self) -> dict[str, tuple[str, ...]]:
        """Output name -> its classes in index order."""
        return {output: self.vocabularies[name] for output, name in self.outputs.items()}

    def num_records(self, split: str) -> int:
        """Returns the number of records of a split."""
        return sum(shard.records for shard in self.splits[split])

    def to_json(self) -> str:
        """Returns the file's text."""
        content = {
            "format_version": FORMAT_VERSION,
            "name": self.name,
            "image": self.image,
            "outputs": [
                {"name": output, "vocabulary": name} for output, name in self.outputs.items()
            ],
            "splits": {
                split: {
                    "records": sum(shard.records for shard in shards),
                    "shards": [asdict(shard) for shard in shards],
                }
                for split, shards in self.splits.items()
            },
            "layout": {
                "stride": self.layout.stride,
                "label_offset": self.layout.label_offset,
                "row_offset": self.layout.row_offset,
                "image_offset": self.layout.image_offset,
            },
            "plan_id": self.plan_id,
            "manifest_sha256": self.manifest_sha256,
            "options": self.options,
            "vocabularies": {name: list(c) for name, c in self.vocabularies.items()},
        }
        return json.dumps(content, ensure_ascii=False, indent=1) + "\n"


def parse_dataset(text: str, where: str) -> DatasetInfo:
    """Reads `dataset.json`, trusting nothing.

    Args:
        text: The file's text.
        where: The file's path; messages quote it.

    Raises:
        FormatError: A value is missing, of a wrong type, out of bounds, or contradicts another.
    """
    try:
        info = _Parser(where).dataset(json.loads(text))
        _ = info.dataset_id  # fails where a text holds half a character, `\ud800`
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{where}: not valid JSON: {error}. Convert again.") from error
    return info


def _is_box(value: object) -> bool:
    if not isinstance(value, list) or len(value) != 4:
        return value is None
    whole = all(type(edge) is int for edge in value)
    return whole and value[0] < value[2] and value[1] < value[3]


class _Parser:
    """Checks each value as it is read; an error names the file and the value."""

    def __init__(self, where: str) -> None:
        self._where = where

    def dataset(self, content: Any) -> DatasetInfo:
        version = self._get(content, "format_version", int)
        if version != FORMAT_VERSION:
            raise FormatError(
                f"{self._where}: format version {version}; this shardfeed reads {FORMAT_VERSION}."
            )
        name = self._get(content, "name", str)
        self._require(re.fullmatch(r"[a-z][a-z0-9_]*", name), f"`name` {name!r} is no shard name")
        image = self._image(self._get(content, "image", dict))
        vocabularies = self._vocabularies(self._get(content, "vocabularies", dict))
        outputs = self._outputs(self._get(content, "outputs", list), vocabularies)
        pixels = image["height"] * image["width"] * image["channels"]
        stride = RecordLayout(num_labels=len(outputs), image_bytes=pixels).stride
        splits = self._get(content, "splits", dict)
        info = DatasetInfo(
            name=name,
            image=image,
            outputs=outputs,
            vocabularies=vocabularies,
            splits={split: self._split(name, split, stride, splits) for split in splits},
            plan_id=self._digest(content, "plan_id"),
            manifest_sha256=self._digest(content, "manifest_sha256"),
            options=self._get(content, "options", dict),
        )
        self._require(
            content.get("layout") == json.loads(info.to_json())["layout"],
            "`layout` is not the one that its image and outputs give",
        )
        return info

    def _image(self, image: dict[str, Any]) -> dict[str, Any]:
        height, width, channels = (
            self._get(image, key, int) for key in ("height", "width", "channels")
        )
        fits = min(height, width) >= 1 and height * width <= _MAX_PIXELS
        self._require(fits and channels in (1, 3), f"`image` cannot be {height}x{width}x{channels}")
        encoding = self._get(image, "encoding", str)
        self._require(encoding == "raw", f"`image.encoding` {encoding!r} is not known")
        self._require(_is_box(image.get("crop")), "`image.crop` is no box")
        for key, kind in _IMAGE_FIELDS.items():
            self._get(image, key, kind)
        for key, known in (("resample", get_args(Resample)), ("alpha", get_args(Alpha))):
            self._require(image[key] in known, f"`image.{key}` {image[key]!r} is not known")
        self._require(image["max_pixels"] >= 1, "`image.max_pixels` is below 1")
        return image

    def _vocabularies(self, vocabularies: dict[str, Any]) -> dict[str, tuple[str, ...]]:
        for name, classes in vocabularies.items():
            valid = isinstance(classes, list) and all(isinstance(c, str) for c in classes)
            self._require(
                valid and 0 < len(set(classes)) == len(classes),
                f"`vocabularies.{name}` is no list of distinct classes",
            )
        return {name: tuple(classes) for name, classes in vocabularies.items()}

    def _outputs(
        self, outputs: list[Any], vocabularies: Mapping[str, tuple[str, ...]]
    ) -> dict[str, str]:
        found = {self._get(o, "name", str): self._get(o, "vocabulary", str) for o in outputs}
        self._require(0 < len(found) == len(outputs) <= _MAX_OUTPUTS, "`outputs` are not distinct")
        self._require(set(found.values()) <= set(vocabularies), "`outputs` lack a vocabulary")
        return found

    def _split(
        self, name: str, split: str, stride: int, splits: dict[str, Any]
    ) -> tuple[Shard, ...]:
        self._require(split in ("train", "validation", "test"), f"`splits` has {split!r}")
        content = self._get(splits, split, dict)
        listed = self._get(content, "shards", list)
        shards = []
        for index, entry in enumerate(listed):
            shard = Shard(
                file=self._get(entry, "file", str),
                records=self._get(entry, "records", int),
                bytes=self._get(entry, "bytes", int),
                sha256=self._digest(entry, "sha256"),
            )
            expected = shard_file(name, split, index, len(listed))
            self._require(shard.file == expected, f"shard {shard.file!r} should be {expected!r}")
            fits = 0 <= shard.records <= MAX_VARINT and shard.bytes == shard.records * stride
            self._require(fits, f"{expected}: {shard.records} records do not take {shard.bytes}")
            shards.append(shard)
        total = self._get(content, "records", int)
        self._require(total == sum(s.records for s in shards), f"`splits.{split}.records` is wrong")
        return tuple(shards)

    def _digest(self, content: Any, key: str) -> str:
        digest: str = self._get(content, key, str)
        self._require(_SHA256.fullmatch(digest), f"`{key}` is no sha256")
        return digest

    def _get(self, content: Any, key: str, kind: type) -> Any:
        value = content.get(key) if isinstance(content, dict) else None
        wrong = not isinstance(value, kind) or (kind is int and isinstance(value, bool))
        self._require(not wrong, f"`{key}` is missing or no {kind.__name__}")
        return value

    def _require(self, condition: object, message: str) -> None:
        if not condition:
            raise FormatError(f"{self._where}: {message}. Convert again, or restore the file.")
