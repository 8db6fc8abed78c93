"""Splits and record order: which rows stand where, from nothing but the manifest and a seed."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from convert.config import DEFAULT_SPLIT, SPLITS, ConvertConfig
from convert.errors import UsageError
from convert.plan.labels.text import normal_text
from convert.plan.manifest import Manifest
from convert.plan.spooled import blocks

SPLIT_SYNONYMS = {"val": "validation", "valid": "validation", "dev": "validation"}

_PART_BITS = 5

Ints = np.ndarray[Any, np.dtype[Any]]


def split_column(manifest: Manifest, config: ConvertConfig) -> str | None:
    """Returns the column that names each row's split; None if a hash decides."""
    if config.split_column is None and not config.split and "split" in manifest.columns:
        return "split"
    return config.split_column


def assign_splits(manifest: Manifest, config: ConvertConfig, good: Ints) -> dict[str, Ints]:
    """Assigns the good rows to splits; only splits with rows exist."""
    column = split_column(manifest, config)
    if column is not None:
        assigned = _splits_by_column(manifest, column)
        wanted = [split for split in SPLITS if (assigned == SPLITS.index(split)).any()]
    else:
        shares = dict(config.split or DEFAULT_SPLIT)
        assigned = _splits_by_hash(manifest, config, shares)
        wanted = [split for split in SPLITS if split in shares]
    splits = {split: np.flatnonzero((assigned == SPLITS.index(split)) & good) for split in wanted}
    for split, rows in splits.items():
        if not len(rows) and good.any():
            raise UsageError(
                f"the split {split!r} is empty: none of {np.count_nonzero(good)} good rows fell "
                "into it. Give it a larger share with --split, or add rows."
            )
    return splits


def _splits_by_column(manifest: Manifest, column: str) -> Ints:
    """Returns each row's index into SPLITS, from a column of split names."""
    names = manifest.column(column, "--split-column").dictionary_encode()
    table = []
    for index, name in enumerate(names.dictionary.to_pylist()):
        plain = name.strip()
        split = SPLIT_SYNONYMS.get(plain, plain)
        if split not in SPLITS:
            row = int(np.argmax(names.indices.to_numpy() == index))
            raise UsageError(
                f"{manifest.path}: {manifest.where(row)}: {column}={name!r} is no "
                f"split; they are {', '.join((*SPLITS, *SPLIT_SYNONYMS))}."
            )
        table.append(SPLITS.index(split))
    assigned: Ints = np.array(table, np.uint8)[names.indices.to_numpy()]
    return assigned


def _splits_by_hash(manifest: Manifest, config: ConvertConfig, shares: dict[str, float]) -> Ints:
    """Returns each row's index into SPLITS, from a hash of seed and path or group.

    A row's split depends on the seed, the shares and its own path or group alone, so adding rows
    never moves others.
    """
    key = "path" if config.group_column is None else config.group_column
    salt = hashlib.sha256(f"{config.seed}:".encode())
    column = manifest.column(key, "--group-column")
    if config.group_column is not None and not config.verbatim_labels:
        column, _ = normal_text(column)  # so that one group is one, however it was typed
    names = [split for split in SPLITS if split in shares]
    bounds = np.cumsum([shares[split] for split in names])[:-1]
    indices = np.array([SPLITS.index(split) for split in names], np.uint8)
    assigned = np.empty(manifest.num_rows, np.uint8)
    for rows in blocks(manifest.num_rows):
        texts = column[rows].cast("large_binary").to_pylist()
        points = np.frombuffer(_digest_starts(salt, texts), ">u8") / 2.0**64
        assigned[rows] = indices[np.searchsorted(bounds, points, "right")]
    return assigned


def _digest_starts(salt: hashlib._Hash, texts: list[bytes]) -> bytes:
    """Returns the first eight bytes of the digest of a salt and each text."""
    starts = []
    for text in texts:
        digest = salt.copy()
        digest.update(text)
        starts.append(digest.digest()[:8])
    return b"".join(starts)


def record_order(rows: Ints, split: str, config: ConvertConfig) -> Ints:
    """Returns a split's rows, sorted by a random number each; ties keep the manifest's order.

    The rows are put into order by parts of the numbers' range, which takes less memory and time.
    """
    if config.order == "source":
        return rows
    bits = np.random.Philox(key=[config.seed, SPLITS.index(split)]).random_raw(len(rows))
    parts = (bits >> np.uint64(64 - _PART_BITS)).astype(np.uint8)
    ordered = np.empty_like(rows)
    end = 0
    for part in range(1 << _PART_BITS):
        members = np.flatnonzero(parts == part)
        start, end = end, end + len(members)
        ordered[start:end] = rows[members[np.argsort(bits[members], kind="stable")]]
    return ordered
