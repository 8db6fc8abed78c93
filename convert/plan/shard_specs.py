"""The plan: what each shard holds, as a pure function of manifest and options.

Nothing here touches an image file, so the plan does not depend on the state of a disk.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np

from convert.config import Box, ConvertConfig
from convert.dataset.info import FORMAT_VERSION, shard_file
from convert.dataset.record import RecordLayout
from convert.plan.corrected_labels import Corrected, correct_in_turn
from convert.plan.corrections import Corrections, rounds_to_json
from convert.plan.labels.columns import is_empty
from convert.plan.labels.read import label_column_names, read_boxes, read_labels
from convert.plan.labels.text import Changed
from convert.plan.labels.vocabulary import Vocabularies
from convert.plan.manifest import Manifest
from convert.plan.rejected_rows import Problems, Quarantined
from convert.plan.splits import assign_splits, record_order, split_column

_NOT_IN_PLAN_ID = {
    "manifest": "its content's digest is",
    "dataset": "a path of this machine",
    "root": "a path of this machine",
    "allow": "paths of this machine",
    "vocabulary": "its classes are",
    "corrections": "its entries are, where there are some",
    "workers": "changes no byte",
    "engine": "changes no byte",
    "master": "changes no byte",
    "max_bad_fraction": "changes no byte",
    "overwrite": "changes no byte",
    "retry_quarantined": "changes no byte that a fresh conversion would not have",
}

# Options younger than the first datasets: left out where they are not used, so that equal
# commands go on to give equal datasets.
_WRITTEN_IF_USED = (
    "format", "manifest_encoding", "path_column", "verbatim_labels", "add_classes", "fit",
    "lenient",
)  # fmt: skip

Ints = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardSpec:
    """All that a worker needs to write one shard.

    Attributes:
        file: The shard's file name.
        rows: Manifest rows in record order, int64, shape (n,).
        paths: Their paths as the manifest spells them.
        labels: Class indices, int32, shape (n, outputs).
        boxes: Crop box of each row. None: the options' box for all.
        killers: Index of a row that ends any process that decodes it -> how it ended.
    """

    file: str
    rows: Ints
    paths: list[str]
    labels: Ints
    boxes: list[Box] | None
    killers: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What a conversion will write.

    Attributes:
        plan_id: sha256 over the manifest and every option that changes bytes.
        options: Those options, as JSON values.
        manifest: The manifest's columns.
        vocabularies: Outputs and their classes.
        layout: The records' layout.
        name: First part of the shards' names.
        records_per_shard: Rows in every shard but the last of a split.
        splits: Split name -> manifest rows in record order, int64.
        split_column: Column that names the splits. None: a hash decides.
        labels: Class index of each row and output, int32, shape (rows, outputs); -1 unknown.
        changed: Labels that were made to look as others do, or None.
        corrected: What corrections came to. None: there are none.
        boxes: Crop box of each row, int64, shape (rows, 4), or None.
        quarantined: Rows that the manifest alone rules out, by row.
    """

    plan_id: str
    options: dict[str, Any]
    manifest: Manifest
    vocabularies: Vocabularies
    layout: RecordLayout
    name: str
    records_per_shard: int
    splits: dict[str, Ints]
    split_column: str | None
    labels: Ints
    changed: Changed | None
    corrected: Corrected | None
    boxes: Ints | None
    quarantined: list[Quarantined]

    def num_shards(self, split: str) -> int:
        """Returns the number of shards of a split."""
        return -(-len(self.splits[split]) // self.records_per_shard)

    def files(self) -> dict[str, tuple[str, int]]:
        """Returns each shard's file name with its split and its index in it."""
        return {
            shard_file(self.name, split, index, self.num_shards(split)): (split, index)
            for split in self.splits
            for index in range(self.num_shards(split))
        }

    def shard_rows(self, split: str, index: int) -> Ints:
        """Returns one shard's manifest rows in record order."""
        start = index * self.records_per_shard  # all shards are full but the last of a split
        return self.splits[split][start : start + self.records_per_shard]

    def shard(self, split: str, index: int) -> ShardSpec:
        """Returns one shard's rows."""
        rows = self.shard_rows(split, index)
        boxes = None if self.boxes is None else [tuple(box) for box in self.boxes[rows].tolist()]
        return ShardSpec(
            file=shard_file(self.name, split, index, self.num_shards(split)),
            rows=rows,
            paths=self.manifest.columns["path"].take(rows).to_pylist(),
            labels=self.labels[rows],
            boxes=boxes,
        )


def make_plan(
    manifest: Manifest,
    config: ConvertConfig,
    given: Mapping[str, tuple[str, ...]],
    corrections: Sequence[Corrections] = (),
) -> Plan:
    """Plans a conversion.

    Args:
        manifest: The rows.
        config: The options.
        given: Classes of the vocabularies that the user gave, by output name, or under `*` for
            all outputs.
        corrections: Labels that replace those of the manifest, a file after the other.

    Raises:
        UsageError: A column is missing, a split is unknown or empty, or an option does not fit.
    """
    manifest.column("path", "the manifest")
    corrected = _corrected(manifest, config, corrections)
    manifest = corrected.manifest if corrected else manifest
    problems = Problems(manifest)
    problems.add(
        is_empty(manifest.columns["path"]), "path_missing", lambda row: "the path is empty"
    )
    if corrected:
        why = "its label was found wrong, and no right one is known"
        problems.add(corrected.rejected, "label_rejected", lambda row: why)
    boxes = read_boxes(manifest, config, problems)
    labels = read_labels(manifest, config, given, problems)
    splits = assign_splits(manifest, config, problems.good)
    width, height = config.image_size
    layout = RecordLayout(
        num_labels=len(labels.vocabularies.outputs), image_bytes=width * height * config.channels
    )
    options = plan_options(config, given, corrections)
    return Plan(
        plan_id=plan_id(manifest.sha256, options),
        options=options,
        manifest=manifest,
        vocabularies=labels.vocabularies,
        layout=layout,
        name=config.name,
        records_per_shard=max(1, config.shard_bytes // layout.stride),
        splits={name: record_order(rows, name, config) for name, rows in splits.items()},
        split_column=split_column(manifest, config),
        labels=labels.indices,
        changed=labels.changed,
        corrected=corrected,
        boxes=boxes,
        quarantined=problems.quarantined(),
    )


def _corrected(
    manifest: Manifest, config: ConvertConfig, corrections: Sequence[Corrections]
) -> Corrected | None:
    """Returns the manifest with corrected labels; None if nobody has judged any."""
    if not corrections:
        return None
    columns, is_text = label_column_names(manifest, config)
    return correct_in_turn(
        manifest, corrections, columns, is_text=is_text, is_verbatim=config.verbatim_labels
    )


def plan_options(
    config: ConvertConfig,
    given: Mapping[str, tuple[str, ...]],
    corrections: Sequence[Corrections] = (),
) -> dict[str, Any]:
    """Returns every option that changes bytes, as JSON values."""
    unused = {f.name for f in fields(config) if getattr(config, f.name) == f.default}
    left_out = {*_NOT_IN_PLAN_ID, *(unused & set(_WRITTEN_IF_USED))}
    options = {k: v for k, v in asdict(config).items() if k not in left_out}
    options["size"] = config.image_size
    options["quality"] = config.jpeg_quality if config.encoding == "jpeg" else None
    options["vocabulary"] = {
        name: hashlib.sha256("\n".join(classes).encode()).hexdigest()
        for name, classes in sorted(given.items())
    }
    if entries := rounds_to_json(corrections):
        options["corrections"] = entries
    normal: dict[str, Any] = json.loads(json.dumps(options))
    return normal


def plan_id(manifest_sha256: str, options: Mapping[str, Any]) -> str:
    """Returns the digest that tells whether two conversions write the same bytes.

    It needs no planning: a finished conversion is recognised by it at once.

    Args:
        manifest_sha256: Digest of the manifest.
        options: Those of `plan_options`.
    """
    content = {"format": FORMAT_VERSION, "manifest": manifest_sha256, "options": options}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
