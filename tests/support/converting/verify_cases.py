"""What the tests of `convert verify` share: a small dataset, and ways to damage it."""

import hashlib
import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from convert_cases import convert, draw_sources, write_manifest

from convert.dataset.read import read_dataset
from convert.dataset.record import layout_of_image, padded_varints
from convert.dataset.tfds import dataset_info_json
from convert.verify import VerifyConfig, VerifyResult, verify_dataset

NUM_ROWS = 40
STRIDE = layout_of_image(2, 12 * 8 * 3).stride
TRAIN = [f"images-train.tfrecord-0000{index}-of-00003" for index in range(3)]
VALIDATION = "images-validation.tfrecord-00000-of-00001"
RESTORE = (
    "restore these files from a copy, or convert again with --overwrite; nothing has to be deleted"
)


def draw(folder: Path, **more: Any) -> Path:
    """Makes the dataset `out` of 40 rows in their order, ten in a shard.

    Returns:
        The manifest.
    """
    draw_sources(folder, NUM_ROWS)
    rows = [
        [f"i/{row}.png", f"{row // 16:x}", f"{row % 16:x}", "train" if row < 30 else "val"]
        for row in range(NUM_ROWS)
    ]
    manifest = write_manifest(folder / "m.csv", ["path", "y0", "y1", "split"], rows)
    options = {"order": "source", "shard_bytes": 10 * STRIDE, **more}
    convert(manifest, folder / "out", **options)
    return manifest


def copy_of(folder: Path, to: Path) -> Path:
    """Copies what `draw` made; returns the dataset."""
    shutil.copytree(folder, to, dirs_exist_ok=True)
    return to / "out"


def verify(dataset: Path, **more: Any) -> VerifyResult:
    return verify_dataset(VerifyConfig(dataset=str(dataset), **{"workers": 1, **more}))


def problems(dataset: Path, **more: Any) -> list[str]:
    """Verifies; returns the lines of problems."""
    return [problem.line() for problem in verify(dataset, **more).problems]


def read(path: Path) -> bytes:
    return path.read_bytes()


def write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def flip(path: Path, *offsets: int, bit: int = 1) -> None:
    """Flips one bit of some bytes."""
    content = bytearray(path.read_bytes())
    for offset in offsets:
        content[offset] ^= bit
    path.write_bytes(content)


def encode(labels: Sequence[int], row: int, image: bytes) -> bytes:
    """Returns a record with right CRCs."""
    layout = layout_of_image(len(labels), len(image))
    pieces = layout.encode(
        padded_varints(np.array(labels)).tobytes(), padded_varints(np.array([row])).tobytes(), image
    )
    return b"".join(pieces)


def rewrite(dataset: Path, file: str, number: int, record: bytes, *, listed: bool = False) -> None:
    """Puts a sound record in the place of another of its length.

    Args:
        dataset: The dataset.
        file: The shard.
        number: The record's number.
        record: Its bytes.
        listed: Whether dataset.json shall have the new digest.
    """
    content = bytearray((dataset / file).read_bytes())
    content[number * len(record) : (number + 1) * len(record)] = record
    (dataset / file).write_bytes(content)
    if listed:
        list_again(dataset, file)


def list_again(dataset: Path, file: str) -> None:
    """Makes the description list a shard or an index as it is now."""
    description = json.loads((dataset / "dataset.json").read_text("utf-8"))
    content = (dataset / file).read_bytes()
    for split in description["splits"].values():
        for shard in split["shards"]:
            if shard["file"] == file:
                shard["bytes"], shard["sha256"] = len(content), hashlib.sha256(content).hexdigest()
            if shard["file"] + ".idx" == file:
                shard["index_bytes"] = len(content)
                shard["index_sha256"] = hashlib.sha256(content).hexdigest()
    write_description(dataset, description)


def write_description(dataset: Path, description: dict[str, Any]) -> None:
    """Writes dataset.json, and what TFDS reads of it."""
    text = json.dumps(description, ensure_ascii=False, indent=1) + "\n"
    (dataset / "dataset.json").write_text(text, encoding="utf-8")
    info = read_dataset(str(dataset))
    assert info.to_json() == text
    (dataset / "dataset_info.json").write_text(dataset_info_json(info), encoding="utf-8")


def timeless(line: str) -> str:
    """Replaces what differs from run to run."""
    return re.sub(r"at [0-9,.]+ MB/s", "at N MB/s", line)
