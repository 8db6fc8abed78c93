"""The content that a manifest gives a finished dataset: plans the conversion again."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from convert.config import ConvertConfig
from convert.dataset.info import DATASET_JSON, QUARANTINE, DatasetInfo, Shard
from convert.errors import FormatError, UsageError
from convert.images.sources.hdfs_reader import allowed_folders
from convert.plan.corrections import rounds_from_json
from convert.plan.load_inputs import dataset_manifest
from convert.plan.rejected_rows import Quarantined
from convert.plan.shard_specs import Plan, ShardSpec, make_plan
from convert.storage.places import filesystem_of
from convert.verify.findings import Problem, first_problems, shown
from convert.verify.shards.spans import select_rows
from convert.verify.sidecars import given_classes
from convert.write.open_inputs import source_root
from convert.write.write_shard import ShardJob

Ints = np.ndarray[Any, np.dtype[Any]]


class Expectation:
    """A dataset's manifest, planned again with the dataset's options.

    Args:
        dataset: The dataset's folder, as the user named it.
        info: Its description.
        manifest: The manifest, or with `--from-names` the folder of images.
        root: Folder of the sources. None: the manifest's own.
        allow: Folders outside of it that paths may lead into.

    Raises:
        UsageError: It is not the manifest that the dataset was made from, or cannot be read.
        FormatError: The dataset's options cannot be read.

    Attributes:
        plan: The plan.
    """

    def __init__(
        self,
        dataset: str,
        info: DatasetInfo,
        manifest: str,
        root: str | None,
        allow: tuple[str, ...] = (),
    ) -> None:
        self._info = info
        where = os.path.join(dataset, DATASET_JSON)
        try:
            config = _config(info, manifest, root)
            given = given_classes(info) or {}
            corrections = rounds_from_json(info.options.get("corrections", []), where)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise FormatError(
                f"{where}: its options cannot be read, so the manifest cannot be compared. "
                "Verify without --manifest."
            ) from error
        opened = dataset_manifest(dataset, info, manifest)
        self.plan: Plan = make_plan(opened, config, given, corrections)
        self._root = source_root(config)
        self._allow = allowed_folders(self._root, allow)
        known = {shard.file for shards in info.splits.values() for shard in shards}
        self._has_shards = set(self.plan.files()) == known
        planned = self.plan.vocabularies
        self._has_classes = (planned.outputs, planned.classes) == (info.outputs, info.vocabularies)

    @property
    def is_comparable(self) -> bool:
        """Whether the plan has the dataset's shards and vocabularies."""
        return self._has_shards and self._has_classes

    def path(self, row: int) -> str | None:
        """Returns the path of a row as it can be printed, or None if there is no such row."""
        if row >= self.plan.manifest.num_rows:
            return None
        return shown(self.plan.manifest.columns["path"][row].as_py())

    def source_job(self) -> ShardJob:
        """Returns a job whose reader reads the source files.

        Raises:
            UsageError: Their folder is not there.
        """
        if not filesystem_of(self._root).is_folder(self._root):
            raise UsageError(
                f"--root {self._root}: no such folder. The manifest's paths start there."
            )
        return ShardJob(
            root=self._root,
            staging="",
            num_labels=len(self._info.outputs),
            image=self._info.image,
            allow=self._allow,
        )

    def shard(self, split: str, index: int, shard: Shard, left_out: Ints) -> ShardSpec | None:
        """Returns the rows that a shard should hold, in record order.

        Args:
            split: The shard's split.
            index: Its index in the split.
            shard: Its entry in the dataset's description.
            left_out: Rows that the dataset left out.

        Returns:
            None if they are not as many as the shard has records.
        """
        spec = self.plan.shard(split, index)
        kept = np.flatnonzero(~np.isin(spec.rows, left_out))
        if len(kept) != shard.records:
            return None
        return select_rows(spec, kept)

    def problems(self, quarantined: list[Quarantined] | None) -> list[Problem]:
        """Compares the dataset's description and the rows left out with the plan.

        Args:
            quarantined: The rows left out. None: they are not known.
        """
        what = {
            "shards": self._has_shards,
            "vocabularies": self._has_classes,
            "boxes": (self.plan.boxes is not None) == self._info.image.row_boxes,
        }
        problems = [
            Problem(
                kind="metadata",
                file=DATASET_JSON,
                message=f"its {name} are not those that its manifest and options give",
            )
            for name, is_equal in what.items()
            if not is_equal
        ]
        if quarantined is not None:
            texts = self._quarantine_messages(quarantined)
            records = sum(self._info.num_records(split) for split in self._info.splits)
            num_rows = self.plan.manifest.num_rows
            if records + len(quarantined) != num_rows:
                texts.append(
                    f"its {len(quarantined):,} rows and the {records:,} records are not the "
                    f"manifest's {num_rows:,} rows"
                )
            problems += first_problems("metadata", QUARANTINE, texts, "rows that differ")
        return problems

    def _quarantine_messages(self, quarantined: list[Quarantined]) -> list[str]:
        messages = []
        for entry in quarantined:
            path = self.path(entry.row)
            path = "no such row" if path is None else path
            if path != shown(entry.path):
                messages.append(f"row {entry.row} is {shown(entry.path)}, the manifest has {path}")
        reasons = {entry.row: entry.reason for entry in quarantined}
        for planned in self.plan.quarantined:
            if reasons.get(planned.row) != planned.reason:
                found = reasons.get(planned.row, "not listed")
                messages.append(
                    f"row {planned.row} ({self.path(planned.row)}) is {found}, "
                    f"the manifest gives {planned.reason}"
                )
        return messages


def _config(info: DatasetInfo, manifest: str, root: str | None) -> ConvertConfig:
    """Returns the options that a dataset was made with."""
    options = dict(info.options)
    given = options.pop("vocabulary")
    options.pop("corrections", None)
    for name in ("label_columns", "crop", "size"):
        options[name] = None if options[name] is None else tuple(options[name])
    options["split"] = tuple((name, share) for name, share in options["split"])
    return ConvertConfig(
        manifest=manifest,
        dataset="",
        root=root,
        vocabulary=tuple(given),  # only whether there are some matters here
        **options,
    )
