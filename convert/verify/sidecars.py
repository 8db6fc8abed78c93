"""Checks the small files beside the shards: dataset.json, _SUCCESS, quarantine.jsonl, TFDS's."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from convert.dataset.folder import Folder
from convert.dataset.info import (
    DATASET_JSON,
    QUARANTINE,
    SOURCE,
    SOURCE_PATHS,
    SUCCESS,
    DatasetInfo,
)
from convert.dataset.path_table import FileDigest
from convert.dataset.tfds import DATASET_INFO_JSON, FEATURES_JSON, dataset_info_json, features_json
from convert.errors import REASONS, FormatError
from convert.plan.labels.vocabulary import BLANK
from convert.plan.rejected_rows import Quarantined
from convert.plan.shard_specs import plan_id
from convert.verify.findings import Problem, first_problems, shown
from convert.write.commit_dataset import SIDECARS
from convert.write.source_note import read_note

_HIDDEN = (".", "_")  # Hadoop keeps its own files, as `.name.crc`, under such names
# Written only where they are used -> what they are elsewhere.
_IF_USED = {"fit": "stretch", "lenient": False}


def file_size(folder: Folder, name: str, noun: str = "file") -> int | Problem:
    """Returns a file's bytes, or what keeps it from being a regular file; nothing is opened.

    Args:
        folder: The dataset's folder.
        name: The file.
        noun: What the file is to the dataset.
    """
    try:
        other, size = folder.look(name)
    except FileNotFoundError:
        message = f"missing {noun}" + (", a link that leads nowhere" * folder.is_link(name))
        return Problem(kind="missing", file=name, message=message)
    except OSError as error:
        return Problem(kind="unreadable", file=name, message=f"cannot be read: {error.strerror}")
    if other:
        return Problem(kind="not_a_file", file=name, message=f"{other}, expected a file")
    return size


def check_texts(folder: Folder, info: DatasetInfo) -> Iterator[Problem]:
    """Finds what is wrong with the files that follow from the dataset's description."""
    expected = {
        DATASET_JSON: info.to_json(),
        FEATURES_JSON: features_json(info),
        DATASET_INFO_JSON: dataset_info_json(info),
        SUCCESS: "",
    }
    for name, text in expected.items():
        found, problem = _read(folder, name, len(text.encode()) + 1)
        if problem is not None:
            yield problem
        elif found != text.encode():
            message = "not as convert wrote it"
            if name == DATASET_JSON:
                message += ", though it can be read: its digest is not the dataset's id"
            yield Problem(kind="metadata", file=name, message=message)
    yield from _check_source(folder)
    if message := _contradiction(info):
        yield Problem(kind="metadata", file=DATASET_JSON, message=message)


def _check_source(folder: Folder) -> Iterator[Problem]:
    """Finds what is wrong with `_source.json` and `sources.parquet`; not every dataset has them."""
    found = file_size(folder, SOURCE, "note of the sources")
    if isinstance(found, Problem):
        if found.kind != "missing":
            yield found
        return
    try:
        note = read_note(folder)
    except FormatError:
        yield Problem(kind="metadata", file=SOURCE, message="not as convert wrote it")
        return
    if note is not None and note.paths is not None:
        yield from _check_paths(folder, note.paths)


def _check_paths(folder: Folder, digest: FileDigest) -> Iterator[Problem]:
    """Compares `sources.parquet` with its digest in `_source.json`."""
    size = file_size(folder, SOURCE_PATHS, f"file, which {SOURCE} has a digest of")
    if isinstance(size, Problem):
        yield size
        return
    try:
        is_same = size == digest.bytes and folder.sha256(SOURCE_PATHS) == digest.sha256
    except OSError as error:
        message = f"cannot be read: {error.strerror}"
        yield Problem(kind="unreadable", file=SOURCE_PATHS, message=message)
        return
    if not is_same:
        message = f"its size or digest is not that in {SOURCE}"
        yield Problem(kind="metadata", file=SOURCE_PATHS, message=message)


def given_classes(info: DatasetInfo) -> dict[str, tuple[str, ...]] | None:
    """Returns the vocabularies that the user gave to the conversion, as `make_plan` takes them.

    Returns:
        None if they are not those that its options tell the digests of.

    Raises:
        AttributeError, KeyError, TypeError: The options are no options.
    """
    digests: dict[str, str] = info.options["vocabulary"]
    given = {}
    for key, digest in digests.items():
        outputs = [key] if key != "*" else [name for name in info.outputs if name not in digests]
        if not outputs:
            continue  # each output had a vocabulary of its own
        classes = info.classes[outputs[0]]
        if info.options["pad_label"] and classes[-1] == BLANK:
            classes = classes[:-1]
        sizes = range(len(classes), 0, -1) if info.options.get("add_classes") else [len(classes)]
        known = (classes[:size] for size in sizes)
        base = next((some for some in known if _digest(some) == digest), None)
        if base is None:
            return None
        given[key] = base
    return given


def _digest(classes: tuple[str, ...]) -> str:
    return hashlib.sha256("\n".join(classes).encode()).hexdigest()


def _read(folder: Folder, name: str, limit: int) -> tuple[bytes, Problem | None]:
    """Returns at most `limit` bytes of a file, or why there are none."""
    found = file_size(folder, name)
    if isinstance(found, Problem):
        return b"", found
    try:
        return folder.read(name, 0, min(found, limit)), None
    except OSError as error:
        message = f"cannot be read: {error.strerror}"
        return b"", Problem(kind="unreadable", file=name, message=message)


def _contradiction(info: DatasetInfo) -> str:
    """Describes a contradiction within a description, or returns nothing."""
    if plan_id(info.manifest_sha256, info.options) != info.plan_id:
        return "its `plan_id` is not the digest of its `manifest_sha256` and `options`"
    image: dict[str, Any] = {**_IF_USED, **info.image.to_json(), "name": info.name}
    image["size"] = list(info.image.size)
    options = {**_IF_USED, **info.options}
    for key in sorted(image.keys() & options.keys()):
        if image[key] != options[key]:
            return f"its `options` have {key} {options[key]!r}, the images {image[key]!r}"
    try:
        is_given = given_classes(info) is not None
    except (AttributeError, KeyError, TypeError):
        return "its `options` cannot be read"
    return "" if is_given else "its vocabularies are not those that its `options` have digests of"


def check_quarantine(folder: Folder) -> tuple[list[Quarantined] | None, list[Problem]]:
    """Reads the rows left out.

    Returns:
        The rows, or None if they are not all known; and what is wrong.
    """
    found = file_size(folder, QUARANTINE)
    if isinstance(found, Problem):
        return None, [found]
    rows: list[Quarantined] = []
    messages = []
    try:
        for number, line in enumerate(folder.lines(QUARANTINE), 1):
            last = rows[-1].row if rows else -1
            entry = _entry(line, last)
            if isinstance(entry, str):
                messages.append(f"line {number} {entry}")
            else:
                rows.append(entry)
    except OSError as error:
        message = f"cannot be read: {error.strerror}"
        return None, [Problem(kind="unreadable", file=QUARANTINE, message=message)]
    problems = first_problems("metadata", QUARANTINE, messages, "lines that cannot be right")
    return None if problems else rows, problems


def _entry(line: bytes, last: int) -> Quarantined | str:
    """Returns the row that a line is about, or what is wrong with the line.

    Args:
        line: One line, with its end.
        last: The row of the line before, or -1.
    """
    try:
        entry = Quarantined(**json.loads(line))
    except (ValueError, TypeError, RecursionError):
        return "is not as convert writes it"
    written = json.dumps(asdict(entry), ensure_ascii=False) + "\n"
    texts = (entry.path, entry.reason, entry.detail)
    is_right = type(entry.row) is int and all(isinstance(text, str) for text in texts)
    if not is_right or line != written.encode("utf-8", "surrogatepass"):
        return "is not as convert writes it"
    if entry.reason not in REASONS:
        return f"has the unknown reason {entry.reason!r}"
    if entry.row <= last:
        return f"has row {entry.row} after row {last}"
    return entry


def find_foreign(folder: Folder, info: DatasetInfo) -> list[Problem]:
    """Finds what is in a dataset's folder and not of the dataset."""
    known = {*info.files(), *SIDECARS}
    problems = []
    for name in sorted(set(folder.names()) - known):
        if name.startswith(_HIDDEN):
            continue
        message = f"foreign file: {DATASET_JSON} does not list it"
        problems.append(Problem(kind="foreign_file", file=shown(name), message=message))
    return problems
