"""The staging folder: where a conversion grows, what a resume finds, and the commit.

    <parent>/.<name>.staging-<key>/
      attempts/   files being written, each under a name of its own
      done/       one summary a finished shard
      dataset/    the future output: shards, then metadata, then dataset.json, then _SUCCESS

The key is a digest of the plan, the root and the versions of the libraries that make the pixels,
so a resume never mixes bytes of different origin.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from convert.index import SUFFIX
from convert.local import PART, write_file
from convert.metadata import DATASET_JSON, QUARANTINE, SUCCESS, DatasetInfo, Shard
from convert.output import put_in_place
from convert.png import DECODER_VERSION
from convert.storage import sha256_file, write_json
from convert.summary import ShardSummary
from convert.tfds import DATASET_INFO_JSON, FEATURES_JSON, dataset_info_json, features_json
from convert.version import __version__


class Staging:
    """The folder of one conversion in progress.

    Args:
        output: The dataset folder to be.
        key: Digest of everything that decides bytes.
    """

    def __init__(self, output: str, key: str) -> None:
        parent, name = os.path.split(os.path.abspath(output))
        self.path = os.path.join(parent, f".{name}.staging-{key[:16]}")
        self.dataset = os.path.join(self.path, "dataset")
        self._done = os.path.join(self.path, "done")

    def prepare(self) -> None:
        """Makes the folders and drops what a killed run left half-written."""
        shutil.rmtree(os.path.join(self.path, "attempts"), ignore_errors=True)
        for folder in ("attempts", "done", "dataset"):
            os.makedirs(os.path.join(self.path, folder), exist_ok=True)
        for folder in (self._done, self.dataset):  # the latter becomes the output as it is
            for part in Path(folder).glob(f"*{PART}*"):
                part.unlink()

    def exists(self) -> bool:
        """Tells whether an earlier run left something, were it only to be removed."""
        return os.path.lexists(self.path)

    def remove(self) -> None:
        """Deletes the folder."""
        shutil.rmtree(self.path, ignore_errors=True)

    def finished(self, files: Iterable[str]) -> dict[str, ShardSummary]:
        """Returns the summaries of shards that an earlier run finished.

        A shard counts if its file has the size and the digest of its summary. One that does not
        is deleted, so that it is written again.
        """
        summaries = {}
        for file in files:
            shard = os.path.join(self.dataset, file)
            summary = self._summary(file)
            if summary is not None and is_intact(self.dataset, summary.shard):
                summaries[file] = summary
            else:
                Path(shard).unlink(missing_ok=True)
                Path(shard + SUFFIX).unlink(missing_ok=True)
        return summaries

    def _summary(self, file: str) -> ShardSummary | None:
        try:
            text = Path(self._done, f"{file}.json").read_text(encoding="utf-8")
            summary = ShardSummary.from_json(json.loads(text))
        except (OSError, ValueError, TypeError, KeyError):
            return None
        return summary if summary.file == file else None

    def record(self, summary: ShardSummary) -> None:
        """Notes that a shard is finished."""
        write_json(os.path.join(self._done, f"{summary.file}.json"), summary.to_json())

    def forget(self, summaries: Iterable[ShardSummary]) -> None:
        """Makes the next run write shards again, so that their bad rows get another chance.

        Where no other shard is left to go on from, the whole folder goes.
        """
        for summary in summaries:
            Path(self._done, f"{summary.file}.json").unlink(missing_ok=True)
        if not os.listdir(self._done):
            self.remove()

    def commit(self, output: str, info: DatasetInfo, quarantine: str, *, overwrite: bool) -> None:
        """Completes the dataset and renames it to the output in one step.

        Args:
            output: The dataset folder to be.
            info: Content of its dataset.json.
            quarantine: Content of its quarantine.jsonl.
            overwrite: Replace a dataset that stands there.

        Raises:
            TryAgainError: Something else took the output's name meanwhile.
        """
        folder = self.dataset
        write_file(os.path.join(folder, QUARANTINE), quarantine)
        write_file(os.path.join(folder, FEATURES_JSON), features_json(info))
        write_file(os.path.join(folder, DATASET_INFO_JSON), dataset_info_json(info))
        write_file(os.path.join(folder, DATASET_JSON), info.to_json())
        write_file(os.path.join(folder, SUCCESS), "")
        put_in_place(folder, output, overwrite=overwrite)
        self.remove()


def staging_key(plan_id: str, root: str) -> str:
    """Returns the digest that names a staging folder.

    Args:
        plan_id: The plan's digest.
        root: Folder of the sources. Not part of the plan, which is the same on every machine.
    """
    from PIL import features

    versions = [__version__, features.version("pil"), features.version("jpg")]
    versions += [features.version("zlib"), features.version("webp"), features.version("libtiff")]
    versions.append(DECODER_VERSION)
    content = json.dumps([plan_id, os.path.realpath(root), versions])
    return hashlib.sha256(content.encode()).hexdigest()


def is_intact(folder: str, shard: Shard) -> bool:
    """Tells whether a shard's files, in some folder, have its sizes and digests."""
    try:
        return all(
            os.path.getsize(path) == size and sha256_file(path) == digest
            for name, (size, digest) in shard.files.items()
            for path in (os.path.join(folder, name),)
        )
    except OSError:
        return False
