"""A cache from a stranger: what is no file of ours in it, and registrations that nobody made."""

from __future__ import annotations

import fcntl
import json
import os
import shutil

import pytest
from irregular import KINDS, LARGE

from train.cache.folder import CacheFolder
from train.cache.reservations import Member
from train.errors import FormatError, UsageError

READER = {"process": "1", "shards": "s", "need": 1, "whole": 1, "budget": 9, "names": ["a"]}


@pytest.mark.parametrize("kind", [*KINDS])
def test_what_a_cache_holds(kind, tmp_path):
    cache = CacheFolder(str(tmp_path / "cache"), 1000)
    path = tmp_path / "cache/shards/aa-4"
    path.write_bytes(b"abcd")
    KINDS[kind](path)
    assert path.name not in [file.name for file in cache.files()]
    if kind != "folder":
        with pytest.raises(FormatError, match=r"aa-4: cannot be read: .*expected a regular file"):
            cache.open(path.name)
    marker = tmp_path / "cache/SHARDFEED_CACHE"
    KINDS[kind](marker)
    with pytest.raises(UsageError, match="cannot be made a cache"):
        CacheFolder(str(tmp_path / "cache"), 1000)


@pytest.mark.parametrize("name", ["shards", "readers"])
def test_a_linked_folder_in_a_cache_is_refused(name, tmp_path):
    CacheFolder(str(tmp_path / "cache"), 1000)
    shutil.rmtree(tmp_path / "cache" / name)
    (tmp_path / "victim").mkdir()
    (tmp_path / "cache" / name).symlink_to(tmp_path / "victim")
    with pytest.raises(UsageError, match=f"{name}: a link, expected a folder"):
        CacheFolder(str(tmp_path / "cache"), 1000)


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "[" * 100_000,
        '{"names": 1}',
        json.dumps({**READER, "need": "1"}),
        json.dumps({**READER, "shards": []}),
        json.dumps({**READER, "names": [[]]}),
        json.dumps({**READER, "more": 1}),
        None,
    ],
)
def test_a_reader_of_a_cache_that_nobody_registered(text, tmp_path):
    """As long as a process has locked it; else it is removed unread."""
    cache = CacheFolder(str(tmp_path), 1000)
    path = tmp_path / f"readers/1-{'a' * 32}.json"
    path.write_text(text or "")
    if text is None:
        os.truncate(path, LARGE)
    with path.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(FormatError, match="no registration of a reader"):
            cache.admit(Member(**{**READER, "names": ("a",)}))
        path.write_text(json.dumps(READER))
        cache.admit(Member(**{**READER, "names": ("a",)}))()
    cache.admit(Member(**{**READER, "names": ("a",)}))()
    assert not path.exists()
