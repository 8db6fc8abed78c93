"""A cache from a stranger: what is no file of ours in it, and registrations that nobody made."""

from __future__ import annotations

import fcntl
import shutil

import pytest
from irregular import KINDS

from train.cache.folder import CacheFolder
from train.cache.reservations import Member
from train.errors import FormatError, UsageError

READER = Member(process="1", shards="s", need=1, whole=1, budget=9, names=("a",))


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


def test_a_registration_is_looked_at_only_while_a_process_holds_it(tmp_path):
    cache = CacheFolder(str(tmp_path), 1000)
    path = tmp_path / f"readers/1-{'a' * 32}.json"
    path.write_text("{")
    with path.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(FormatError, match="no registration of a reader"):
            cache.admit(READER)
    cache.admit(READER)()
    assert not path.exists()
