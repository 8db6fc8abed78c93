"""Checks whether the sources are still those that shards were made from.

Beside the files that are the same on every machine, a dataset has `_source.json`: the root that
it was made from, which files each shard was made from, and the digest of their paths. Readers of
datasets pass over names that begin with `_`, and a dataset without the file is whole.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import chain

import google_crc32c

from convert.dataset.folder import Folder
from convert.dataset.info import SOURCE
from convert.dataset.path_table import FileDigest
from convert.dataset.read import open_folder
from convert.errors import FormatError, ImageError, UsageError
from convert.images.sources.file_versions import Origin, Stamp, contents_digest, versions_digest
from convert.images.sources.prefetch import READ_THREADS
from convert.images.sources.reader import Reader
from convert.plan.shard_specs import Plan
from convert.storage.places import absolute, filesystem_of, is_remote

_GROUP = 64  # files that a thread looks at: one by one, handing them over costs more than looking


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceNote:
    """The content of `_source.json`.

    Attributes:
        root: Folder or address of the sources.
        shards: {shard's file: its sources, or None where that is not known}.
        paths: What `sources.parquet` must be. None: there is none, as in older datasets.
    """

    root: str
    shards: Mapping[str, Origin | None]
    paths: FileDigest | None = None

    def to_json(self) -> str:
        """Returns the file's text."""
        shards = {file: origin and asdict(origin) for file, origin in self.shards.items()}
        paths = {} if self.paths is None else {"paths": asdict(self.paths)}
        return json.dumps({"root": self.root, "shards": shards, **paths}, indent=1) + "\n"


def whole_root(root: str) -> str:
    """Returns the one name of a folder of sources."""
    return absolute(root) if is_remote(root) else os.path.realpath(root)


def read_note(folder: Folder) -> SourceNote | None:
    """Reads which sources a dataset was made from; None if it does not say.

    Raises:
        FormatError: Its `_source.json` cannot be read, or is not valid.
    """
    try:
        content = json.loads(folder.read_text(SOURCE))
        shards = {file: Origin.from_json(each) for file, each in content["shards"].items()}
        paths = FileDigest.from_json(content["paths"]) if "paths" in content else None
        if isinstance(content["root"], str):
            return SourceNote(root=content["root"], shards=shards, paths=paths)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        pass
    raise FormatError(
        f"{folder.file(SOURCE)}: not as convert wrote it. Remove it: the dataset is whole without, "
        "but no longer knows which images it was made from."
    )


def is_of_root(dataset: str, root: str) -> bool:
    """Returns whether a dataset was made from a root, or does not say which it was."""
    note = read_note(open_folder(dataset))
    return note is None or note.root == whole_root(root)


def changed_shards(plan: Plan, origins: Mapping[str, Origin | None], reader: Reader) -> list[str]:
    """Returns the shards whose sources are not of the size or time that they were of.

    Args:
        plan: Says which files are whose sources.
        origins: {shard's file: its sources when it was written}; None is passed over.
        reader: Looks at them.
    """
    places = plan.files()
    changed = []
    with ThreadPoolExecutor(READ_THREADS) as pool:
        for file, origin in origins.items():
            if origin is None:
                continue
            paths = plan.shard(*places[file]).paths
            groups = [paths[start : start + _GROUP] for start in range(0, len(paths), _GROUP)]
            stamps = chain.from_iterable(pool.map(partial(_stamps, reader, origin.began), groups))
            if versions_digest(stamps) != origin.versions:
                changed.append(file)
    return changed


def _stamps(reader: Reader, began: float, paths: Sequence[str]) -> list[Stamp | None]:
    return [reader.stamp(path, began) for path in paths]


def require_same_sources(
    dataset: str, plan: Plan, root: str, reader: Reader, say: Callable[[str], None]
) -> None:
    """Checks that a finished dataset was made from these images, wherever they were then.

    Where the root has another name now, sizes and times decide, or else what the files hold;
    that name is noted down.

    Args:
        dataset: The dataset's folder.
        plan: What it was made by.
        root: Folder of the sources now.
        reader: Reads them.
        say: Told what takes long, and what is noted down.

    Raises:
        UsageError: It was made from other images.
        FormatError: Its note cannot be read.
    """
    note = read_note(open_folder(dataset))
    if note is None or note.root == whole_root(root):
        return
    known = {file: origin for file, origin in note.shards.items() if file in plan.files()}
    others = changed_shards(plan, known, reader)
    if others:
        say(f"comparing the images in {root} with those in {note.root}, which {dataset} is made of")
        others = _other_shards(plan, known, others, reader)
    if others:
        raise UsageError(
            f"{dataset}: was made from the images in {note.root}, and those in "
            f"{whole_root(root)} are others (in {len(others)} of {len(known)} shards). "
            "Choose another output, or replace it with --overwrite."
        )
    say(f"{dataset}: its images have moved from {note.root} to {whole_root(root)}")
    path, moved = os.path.join(dataset, SOURCE), replace(note, root=whole_root(root), shards=known)
    with contextlib.suppress(OSError):  # it may be kept where nobody writes; then it is asked again
        filesystem_of(path).replace(path, moved.to_json().encode())


def _other_shards(
    plan: Plan, origins: Mapping[str, Origin | None], files: Iterable[str], reader: Reader
) -> list[str]:
    """Returns those of some shards whose sources hold something else than they did."""
    places = plan.files()
    others = []
    with ThreadPoolExecutor(READ_THREADS) as pool:
        for file in files:
            checksums = pool.map(partial(_checksum, reader), plan.shard(*places[file]).paths)
            origin = origins[file]
            if origin is not None and contents_digest(checksums) != origin.contents:
                others.append(file)
    return others


def _checksum(reader: Reader, path: str) -> int:
    try:
        checksum: int = google_crc32c.value(reader.read(path))
    except (ImageError, MemoryError):
        return 0
    return checksum
