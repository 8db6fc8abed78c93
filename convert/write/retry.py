"""Converting again the rows that a finished dataset left out.

Shards without such rows are taken over as they are; the others are written again, and a dataset
of both takes the place of the old one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection
from dataclasses import replace

import numpy as np

from convert.dataset.folder import Folder
from convert.dataset.info import QUARANTINE, DatasetInfo, Shard
from convert.dataset.read import open_folder
from convert.dataset.shard_records import ShardRecords
from convert.errors import PLAN_REASONS, REASONS, FormatError
from convert.images.pixels.digest import image_digest
from convert.plan.shard_specs import Plan
from convert.storage.places import read_text
from convert.write.shard_summary import ShardSummary, merge_sources
from convert.write.source_note import read_note
from convert.write.staging import Staging, is_intact


def retryable_rows(output: str) -> list[int]:
    """Returns the rows that a dataset left out for what their files were like.

    Args:
        output: The dataset's folder.

    Raises:
        FormatError: Its quarantine.jsonl is missing or not valid.
    """
    path = os.path.join(output, QUARANTINE)
    try:
        text = read_text(path).decode()
        entries = [json.loads(line) for line in text.splitlines()]
        known = all(type(e["row"]) is int and e["reason"] in REASONS for e in entries)
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise FormatError(f"{path}: cannot be read. Convert again with --overwrite.") from error
    if not known:
        raise FormatError(f"{path}: has an unknown reason. Convert again with --overwrite.")
    return [entry["row"] for entry in entries if entry["reason"] not in PLAN_REASONS]


def adopt_shards(
    output: str,
    info: DatasetInfo,
    plan: Plan,
    rows: list[int],
    to: Staging,
    finished: Collection[str],
) -> dict[str, ShardSummary]:
    """Takes a dataset's shards over into staging, but those in which some rows belong.

    A shard that turns out to be damaged is not taken over, and so is written again.

    Args:
        output: The dataset's folder.
        info: Its description.
        plan: The plan that it was made by.
        rows: Manifest rows whose shards are to be written again.
        to: Where they go.
        finished: Shards that are in staging already, and stay.

    Returns:
        The summaries of the shards that were taken over, by file.
    """
    shards = {shard.file: shard for listed in info.splits.values() for shard in listed}
    folder = open_folder(output)
    adopted, note = {}, read_note(folder)
    for file, place in plan.files().items():
        if file in finished or np.isin(plan.shard_rows(*place), rows).any():
            continue
        if is_intact(output, shards[file]):
            origin = None if note is None else note.shards.get(file)
            adopted[file] = replace(_summary(folder, info, shards[file]), origin=origin)
            to.adopt(output, adopted[file])
    return adopted


def _summary(folder: Folder, info: DatasetInfo, shard: Shard) -> ShardSummary:
    """Returns a shard's summary out of itself; what its sources were like is no longer known."""
    records = ShardRecords(folder, info, shard)
    digests = [image_digest(records.image(number)) for number in range(len(records))]
    return ShardSummary(
        file=shard.file,
        records=shard.records,
        bytes=shard.bytes,
        sha256=shard.sha256,
        index_bytes=shard.index_bytes,
        index_sha256=shard.index_sha256,
        quarantined=[],
        input_bytes=0,
        sources=merge_sources([]),
        image_digests=np.array(digests, "<u8").tobytes(),
    )
