"""The staging folder: where a conversion grows, what a resume finds, and the commit.

    <parent>/.<name>.staging-<key>/
      attempts/   files being written, each under a name of its own
      done/       one summary a finished shard
      dataset/    the future output: shards, then metadata, then dataset.json, then _SUCCESS

The key is a digest of the plan, the root and the versions of the libraries that make the pixels,
so a resume never mixes bytes of different origin.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from convert.dataset.index import SUFFIX
from convert.dataset.info import (
    DATASET_JSON,
    QUARANTINE,
    SOURCE,
    SOURCE_PATHS,
    SUCCESS,
    DatasetInfo,
    Shard,
)
from convert.dataset.path_table import FileDigest, write_source_paths
from convert.dataset.tfds import DATASET_INFO_JSON, FEATURES_JSON, dataset_info_json, features_json
from convert.errors import FormatError, TryAgainError
from convert.storage.local import PART
from convert.storage.places import absolute, filesystem_of, read_text, sha256_file
from convert.storage.regular_files import file_kind
from convert.write.commit_dataset import put_in_place
from convert.write.parse_summary import summary_from_json
from convert.write.shard_summary import ShardSummary
from convert.write.source_note import SourceNote
from convert.write.write_shard import (
    ATTEMPTS,
    DATASET,
    DONE,
    attempt_path,
    note_path,
    record_summary,
)

if TYPE_CHECKING:
    import pyarrow as pa

Intact = Callable[[str, Sequence[Shard]], list[bool]]
"""Returns for each of some shards in a folder whether its files have its sizes and digests."""


class Staging:
    """The folder of one conversion in progress.

    On HDFS, where nothing can be locked, several converters may be at work in it: what one has
    published, no other deletes or replaces.

    Args:
        output: The dataset folder to be.
        key: Digest of everything that decides bytes.
        allow: Folders outside the root that paths may lead into, as they mean the same everywhere.

    Attributes:
        path: The folder.
        dataset: The future output in it.
        allow: The folders that are allowed.
    """

    def __init__(self, output: str, key: str, allow: tuple[str, ...] = ()) -> None:
        self.allow = allow
        parent, name = os.path.split(absolute(output))
        self.path = os.path.join(parent, f".{name}.staging-{key[:16]}")
        self.dataset = os.path.join(self.path, DATASET)
        self._attempts = os.path.join(self.path, ATTEMPTS)
        self._done = os.path.join(self.path, DONE)
        self._files = filesystem_of(output)

    def prepare(self) -> None:
        """Makes the folders and drops what a killed run left half-written."""
        if self._files.is_local:
            self._require_folders()
            # Elsewhere another converter may be writing it.
            self._files.remove_tree(self._attempts)
        for folder in (self._attempts, self._done, self.dataset):
            self._files.make_folder(folder)
        if self._files.is_local:
            for folder in (self._done, self.dataset):
                for part in Path(folder).glob(f"*{PART}*"):
                    part.unlink()

    def _require_folders(self) -> None:
        """Raises unless what is there are folders: behind a link are somebody else's files."""
        for path in (self.path, self._attempts, self._done, self.dataset):
            if os.path.lexists(path):
                kind = file_kind(os.lstat(path)) or "a file"
                if kind != "a folder":
                    raise FormatError(
                        f"{path}: {kind}, expected a folder. Remove it, then run the same "
                        "command again."
                    )

    def exists(self) -> bool:
        """Returns whether an earlier run left something, were it only to be removed."""
        return self._files.exists(self.path)

    def remove(self) -> None:
        """Deletes the folder."""
        self._files.remove_tree(self.path)

    def finished(self, files: Iterable[str], intact: Intact) -> dict[str, ShardSummary]:
        """Returns the summaries of shards that an earlier run finished.

        A shard counts if its files have the sizes and the digests of its summary, and if the
        folders that are allowed now would not change it. Others are deleted, to be written again.

        Args:
            files: Names of all shards.
            intact: Compares sizes and digests.
        """
        # In this order: a shard that is there had its summary noted down before.
        present = set(self._files.names(self.dataset))
        recorded = set(self._files.names(self._done))
        known = {file: self._summary(file) for file in files if f"{file}.json" in recorded}
        found = [s for file, s in known.items() if s is not None and file in present]
        whole = intact(self.dataset, [summary.shard for summary in found])
        summaries = {s.file: s for s, is_whole in zip(found, whole, strict=True) if is_whole}
        for file in files:
            if file not in summaries:
                self._remove_unknown({file, file + SUFFIX} & present, known.get(file))
        return summaries

    def _remove_unknown(self, names: Iterable[str], summary: ShardSummary | None) -> None:
        """Deletes those of a shard's files that are not as they were noted down."""
        noted = {} if summary is None else summary.shard.files
        for name in names:
            path = os.path.join(self.dataset, name)
            if name not in noted or not _matches(path, *noted[name]):
                self._files.remove(path)

    def _summary(self, file: str) -> ShardSummary | None:
        try:
            content = read_text(note_path(self.path, file))
            summary = summary_from_json(json.loads(content))
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return None
        is_current = summary.file == file and summary.is_of_fence(self.allow)
        return summary if is_current else None

    def adopt(self, folder: str, summary: ShardSummary) -> None:
        """Takes a shard over out of a finished dataset, by a second name where that can be.

        Args:
            folder: The dataset's folder, on the same file system.
            summary: Of the shard.
        """
        record_summary(self.path, summary)
        for name in summary.shard.files:
            part = attempt_path(self.path, name)
            self._copy(os.path.join(folder, name), part)
            self._files.publish(part, os.path.join(self.dataset, name))

    def _copy(self, source: str, target: str) -> None:
        if self._files.is_local:
            with contextlib.suppress(OSError):
                os.link(source, target)
                return
        with self._files.create(target) as file:
            for piece in self._files.stream(source):
                file.write(piece)

    def forget(self, summaries: Iterable[ShardSummary]) -> None:
        """Makes the next run write shards again, so that it converts their bad rows again.

        Where no other shard is left to go on from, the whole folder goes.
        """
        for summary in summaries:
            self._files.remove(note_path(self.path, summary.file))
        if not self._files.names(self._done):
            self.remove()

    def discard(self, summaries: Iterable[ShardSummary]) -> None:
        """Deletes finished shards, to be written again."""
        for summary in summaries:
            for name in summary.shard.files:
                self._files.remove(os.path.join(self.dataset, name))
            self._files.remove(note_path(self.path, summary.file))

    def commit(
        self,
        output: str,
        info: DatasetInfo,
        quarantine: str,
        source: SourceNote,
        paths: pa.Array,
        *,
        overwrite: bool,
    ) -> None:
        """Completes the dataset and renames it to the output in one step.

        Args:
            output: The dataset folder to be.
            info: Content of its dataset.json.
            quarantine: Content of its quarantine.jsonl.
            source: Content of its _source.json, but for the digest of the paths.
            paths: Of all rows of the manifest, large_string.
            overwrite: Replace a dataset that stands there.

        Raises:
            TryAgainError: Something else took the output's name meanwhile.
        """
        part = attempt_path(self.path, SOURCE_PATHS)
        with contextlib.ExitStack() as open_files:
            file = open_files.enter_context(self._files.create(part))
            digest = write_source_paths(file, paths, info.plan_id)
            whole = open_files.pop_all()
        texts = {
            QUARANTINE: quarantine,
            SOURCE: replace(source, paths=digest).to_json(),
            FEATURES_JSON: features_json(info),
            DATASET_INFO_JSON: dataset_info_json(info),
            DATASET_JSON: info.to_json(),
            SUCCESS: "",
        }

        def put(name: str) -> None:
            self._files.replace(os.path.join(self.dataset, name), texts[name].encode())

        last = (DATASET_JSON, SUCCESS)
        first = (partial(put, name) for name in texts if name not in last)
        self._files.together(whole.close, *first)
        found = self._publish_paths(part, digest)
        if found != digest:
            texts[SOURCE] = replace(source, paths=found).to_json()
            put(SOURCE)
        for name in last:
            put(name)
        sizes = {file: size for file, (size, _) in info.files().items()}
        self._require_complete({**sizes, SOURCE_PATHS: found.bytes}, texts)
        put_in_place(self.dataset, output, overwrite=overwrite)
        self.remove()

    def _publish_paths(self, part: str, digest: FileDigest) -> FileDigest:
        """Moves the file of paths to its place; returns the digest of what stands there then."""
        target = os.path.join(self.dataset, SOURCE_PATHS)
        if self._files.is_local:  # elsewhere it may be that of another converter
            self._files.remove(target)
        if self._files.publish(part, target):
            return digest
        size = self._files.sizes(self.dataset)[SOURCE_PATHS]
        return FileDigest(size, sha256_file(target))

    def _require_complete(self, sizes: Mapping[str, int], texts: Collection[str]) -> None:
        """Looks once more at what becomes the output; drops what killed writers left in it."""
        found = self._files.sizes(self.dataset)
        for name in found.keys() - sizes.keys() - set(texts):
            self._files.remove(os.path.join(self.dataset, name))
        missing = [name for name, size in sizes.items() if found.get(name) != size]
        if missing:
            raise TryAgainError(
                f"{os.path.join(self.dataset, missing[0])}: gone, or changed by another process. "
                "Run the same command again."
            )


def is_intact(folder: str, shard: Shard) -> bool:
    """Returns whether a shard's files, in some folder, have its sizes and digests."""
    return all(_matches(os.path.join(folder, name), *claim) for name, claim in shard.files.items())


def _matches(path: str, size: int, digest: str) -> bool:
    """Returns whether there is a file of a size and a digest."""
    try:
        status = filesystem_of(path).status(path)
        return status is not None and status.size == size and sha256_file(path) == digest
    except OSError:
        return False
