"""Reading `dataset.json`, which anyone may have written: each value is checked before its use."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, get_args

from convert.config import SPLITS, Alpha, Encoding, Fit, Resample
from convert.dataset.index import most_bytes
from convert.dataset.info import FORMAT_VERSION, DatasetInfo, Shard, shard_file
from convert.dataset.record import MAX_VARINT, RecordLayout
from convert.errors import FormatError
from convert.images.options import ImageOptions

_MAX_OUTPUTS = 10_000  # far beyond any label, and keeps a damaged file from asking for memory
_MAX_PIXELS = 1 << 24  # as `convert --size` allows
_IMAGE_FIELDS = {
    "resample": str,
    "alpha": str,
    "pad_crop": bool,
    "exif": bool,
    "fast_decode": bool,
    "row_boxes": bool,
    "max_pixels": int,
}
_SHA256 = re.compile(r"[0-9a-f]{64}")


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
        self._stride: int | None = None  # of raw records

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
        height, width, channels = image.shape
        stride = RecordLayout(num_labels=len(outputs), image_bytes=height * width * channels).stride
        self._stride = stride if image.encoding == "raw" else None
        splits = self._get(content, "splits", dict)
        info = DatasetInfo(
            name=name,
            image=image,
            outputs=outputs,
            vocabularies=vocabularies,
            splits={split: self._split(name, split, splits) for split in splits},
            plan_id=self._digest(content, "plan_id"),
            manifest_sha256=self._digest(content, "manifest_sha256"),
            options=self._get(content, "options", dict),
        )
        self._require(
            content.get("layout", "none") == json.loads(info.to_json())["layout"],
            "`layout` is not the one that its image and outputs give",
        )
        return info

    def _image(self, image: dict[str, Any]) -> ImageOptions:
        height, width, channels = (
            self._get(image, key, int) for key in ("height", "width", "channels")
        )
        fits = min(height, width) >= 1 and height * width <= _MAX_PIXELS
        self._require(fits and channels in (1, 3), f"`image` cannot be {height}x{width}x{channels}")
        encoding = self._get(image, "encoding", str)
        self._require(encoding in get_args(Encoding), f"`image.encoding` {encoding!r} is not known")
        quality = image.get("quality")
        fits = type(quality) is int and 1 <= quality <= 100 if encoding == "jpeg" else not quality
        self._require("quality" in image and fits, f"`image.quality` cannot be {quality!r}")
        self._require("crop" in image and _is_box(image["crop"]), "`image.crop` is no box")
        for key, kind in _IMAGE_FIELDS.items():
            self._get(image, key, kind)
        for key, known in (("resample", get_args(Resample)), ("alpha", get_args(Alpha))):
            self._require(image[key] in known, f"`image.{key}` {image[key]!r} is not known")
        self._require(image["max_pixels"] >= 1, "`image.max_pixels` is below 1")
        # Neither is there in datasets that do not use it.
        fit = image.get("fit", "stretch")
        self._require(fit in get_args(Fit), f"`image.fit` {fit!r} is not known")
        self._require(type(image.get("lenient", False)) is bool, "`image.lenient` is no bool")
        return ImageOptions.from_json(image)

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

    def _split(self, name: str, split: str, splits: dict[str, Any]) -> tuple[Shard, ...]:
        self._require(split in SPLITS, f"`splits` has {split!r}")
        content = self._get(splits, split, dict)
        listed = self._get(content, "shards", list)
        shards = tuple(
            self._shard(entry, shard_file(name, split, index, len(listed)))
            for index, entry in enumerate(listed)
        )
        total = self._get(content, "records", int)
        self._require(total == sum(s.records for s in shards), f"`splits.{split}.records` is wrong")
        return shards

    def _shard(self, entry: Any, expected: str) -> Shard:
        indexed = self._stride is None
        shard = Shard(
            file=self._get(entry, "file", str),
            records=self._get(entry, "records", int),
            bytes=self._get(entry, "bytes", int),
            sha256=self._digest(entry, "sha256"),
            index_bytes=self._get(entry, "index_bytes", int) if indexed else None,
            index_sha256=self._digest(entry, "index_sha256") if indexed else None,
        )
        self._require(shard.file == expected, f"shard {shard.file!r} should be {expected!r}")
        if self._stride is None:
            fits = shard.bytes >= shard.records and (shard.bytes == 0) == (shard.records == 0)
            fits = fits and 0 <= (shard.index_bytes or 0) <= most_bytes(shard.records)
        else:
            fits = shard.bytes == shard.records * self._stride
        fits = fits and 0 <= shard.records <= MAX_VARINT
        self._require(fits, f"{expected}: {shard.records} records do not take {shard.bytes}")
        return shard

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
